import { failpoints as brokerPlaces } from "@caas/broker/failpoints.ts";
import { failpoints as controlPlanePlaces } from "@caas/control-plane/store/failpoints.ts";
import { expect, test } from "vitest";
import { createKillBoard } from "./kill-board.ts";
import { planOta } from "./ota-plan.ts";

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
  expect(new Set(cars.map(({ fate }) => fate.kind)).size).toBe(7);
  expect(purchases).toHaveLength(full.activations);
  expect(new Set(purchases.map(({ end }) => end))).toEqual(new Set(["active", "gaveUp", "denied", "open"]));
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
