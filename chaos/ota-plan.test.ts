import { failpoints as brokerPlaces } from "@caas/broker/failpoints.ts";
import { failpoints as controlPlanePlaces } from "@caas/control-plane/store/failpoints.ts";
import { expect, test } from "vitest";
import { createKillBoard } from "./kill-board.ts";
import { planOta, unansweredFates } from "./ota-plan.ts";
import { allRarePaths, planRarePaths } from "./rare-paths.ts";

const full = { vehicles: 2_000, activations: 5_000, seed: 11 };

test("a seed is a schedule: the same again, another for another seed", () => {
  expect(planOta(full)).toEqual(planOta(full));
  expect(planOta({ ...full, seed: 12 }).schedule).not.toBe(planOta(full).schedule);
});

test("a full run kills at every listed place, and deals every fate", () => {
  const { kills, cars, purchases } = planOta(full);
  const placesOf = (part: string) => kills.filter((kill) => kill.part === part).map(({ place }) => place);
  expect(placesOf("control-plane").toSorted()).toEqual(Object.keys(controlPlanePlaces).toSorted());
  expect(placesOf("broker").toSorted()).toEqual(Object.keys(brokerPlaces).toSorted());
  expect(placesOf("agents").length).toBeGreaterThan(0);
  expect(new Set(cars.map(({ fate }) => fate.kind)).size).toBe(9);
  expect(purchases).toHaveLength(full.activations);
  expect(new Set(purchases.map(({ end }) => end))).toEqual(
    new Set(["active", "gaveUp", "denied", "withdrawn", "unpaid", "open"]),
  );
});

test("a full run plans every rare path, and a small one all but the longest sleep", () => {
  expect(planRarePaths(planOta(full)).toSorted()).toEqual([...allRarePaths].toSorted());
  const small = planRarePaths(planOta({ vehicles: 40, activations: 80, seed: 11 }));
  expect(allRarePaths.filter((path) => !small.includes(path))).toEqual(["holdExpired"]);
});

test("only an owner who has paid before meets a bank that does not answer", () => {
  const { purchases } = planOta(full);
  const unanswered = purchases.filter(({ payment }) => unansweredFates.includes(payment));
  expect(unanswered.length).toBeGreaterThan(0);
  for (const { car, service } of unanswered) {
    const first = purchases.find((one) => one.car === car && one.service === 0);
    expect([service > 0, first?.end]).toEqual([true, "active"]);
  }
});

test("the disk of each damaged car loses something else, and one disk loses nothing", () => {
  const disks = planOta({ vehicles: 40, activations: 80, seed: 11 }).cars.filter(
    ({ host }) => host === "disk",
  );
  const damages = disks.flatMap(({ damage }) => (damage === null ? [] : [JSON.stringify(damage)]));
  expect([new Set(damages).size, disks.length - damages.length]).toEqual([5, 1]);
});

test("a car buys each service once, so what its slot holds names the purchase", () => {
  const { purchases } = planOta(full);
  expect(new Set(purchases.map(({ car, service }) => `${car}/${service}`)).size).toBe(purchases.length);
});

test("a small run kills each part at least once", () => {
  const { kills } = planOta({ vehicles: 40, activations: 80, seed: 11 });
  expect(new Set(kills.map(({ part }) => part))).toEqual(new Set(["control-plane", "broker", "agents"]));
});

test("one place is armed after the other, and what has not fired is missing", () => {
  const board = createKillBoard({
    kills: [
      { part: "broker", place: "first", passage: 3 },
      { part: "broker", place: "second", passage: 1 },
    ],
    wallKills: [{ part: "agents", afterMs: 10 }],
  });
  expect([board.armed("broker"), board.armed("control-plane")]).toEqual(["first:3", ""]);
  board.fired("broker", "first");
  expect(board.armed("broker")).toBe("second:1");
  expect(board.missing()).toEqual(["broker/second", "agents/by-the-clock"]);
  board.fired("broker", "second");
  board.firedByTheClock("agents");
  expect([board.armed("broker"), board.missing()]).toEqual(["", []]);
});
