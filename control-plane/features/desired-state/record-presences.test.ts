import type { Presence } from "@caas/contract/presence.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestFleet, type TestCar, type TestFleet } from "../../testing/fixtures/fleet.ts";
import type { SaidPresence } from "./record-presences.ts";

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await startTestFleet();
});
afterAll(() => fleet?.close());

async function say(said: readonly SaidPresence[]): Promise<void> {
  await fleet.db.transaction().execute((tx) => fleet.desiredState.recordPresences(tx, said));
}

function of(car: TestCar, state: Presence["state"], connection: number): SaidPresence {
  return { vin: parseVin(car.vin), presence: { state, connection } };
}

/** What was said to be connected, and to have a change possible, since the last look. */
function published(): { connected: readonly string[]; changePossible: string[] } {
  const events = fleet.published.splice(0);
  return {
    connected: events.flatMap((one) => (one.name === "carConnected" ? [one.event.vehicleId] : [])),
    changePossible: events.flatMap((one) => (one.name === "changePossible" ? [one.event.vehicleId] : [])),
  };
}

async function recorded(car: TestCar): Promise<[string, number]> {
  const row = await fleet.db
    .selectFrom("vehicle_links")
    .select(["presence", "presence_connection"])
    .where("vehicle_id", "=", car.vehicleId)
    .executeTakeFirstOrThrow();
  return [row.presence, row.presence_connection];
}

type Word = [Presence["state"], number];

test.each<{ recorded: Word; said: Word[]; ends: Word; connects: boolean }>([
  { recorded: ["offline", 5], said: [["online", 4]], ends: ["offline", 5], connects: false },
  { recorded: ["online", 5], said: [["offline", 4]], ends: ["online", 5], connects: false },
  { recorded: ["online", 5], said: [["online", 4]], ends: ["online", 5], connects: false },
  { recorded: ["online", 5], said: [["online", 5]], ends: ["online", 5], connects: false },
  { recorded: ["online", 5], said: [["offline", 5]], ends: ["offline", 5], connects: false },
  { recorded: ["offline", 5], said: [["online", 5]], ends: ["online", 5], connects: true },
  { recorded: ["online", 5], said: [["online", 6]], ends: ["online", 6], connects: true },
  {
    recorded: ["online", 5],
    said: [
      ["online", 7],
      ["offline", 6],
    ],
    ends: ["online", 7],
    connects: true,
  },
  {
    recorded: ["online", 5],
    said: [
      ["online", 6],
      ["offline", 6],
    ],
    ends: ["offline", 6],
    connects: false,
  },
  {
    recorded: ["offline", 9],
    said: [
      ["online", 7],
      ["online", 8],
    ],
    ends: ["offline", 9],
    connects: false,
  },
])("recorded $recorded, said $said: $ends", async ({ recorded: before, said, ends, connects }) => {
  const car = await fleet.addCar({ online: false });
  await say([of(car, ...before)]);
  published();
  await say(said.map((word) => of(car, ...word)));
  expect(await recorded(car)).toEqual(ends);
  expect(published().connected).toEqual(connects ? [car.vehicleId] : []);
});

test("of many that come back at once only those with something waiting cost more than their row", async () => {
  const [idle, buyer, waiting] = [await addParked(), await addParked(), await addParked()];
  const bought = await fleet.buy(buyer, "heatedSeats");
  await fleet.db
    .transaction()
    .execute((tx) =>
      fleet.desiredState.rollOut(tx, [waiting.vehicleId], { code: "firmware", configuration: { level: 1 } }),
    );
  expect(await fleet.stateOf(bought)).toBe("OTAQueue");
  // What is due to a car that is away waits for the car, and is passed over until then.
  expect(await fleet.desiredState.takeDue(10)).toEqual([]);
  published();
  await say([idle, buyer, waiting].map((car) => of(car, "online", 1)));
  const { connected, changePossible } = published();
  expect([...connected].sort()).toEqual([idle, buyer, waiting].map((car) => car.vehicleId).sort());
  expect(changePossible).toEqual([buyer.vehicleId]);
  expect(await fleet.stateOf(bought)).toBe("OTAAttempt");
  await dueIs(0, idle);
  await dueIs(1, buyer);
  await dueIs(1, waiting);
});

async function addParked(): Promise<TestCar> {
  return fleet.addCar({ online: false });
}

/** How many manifests wait for the car; the platform's own dispatcher may have sent one already. */
async function dueIs(count: number, car: TestCar): Promise<void> {
  const rows = await fleet.db
    .selectFrom("manifest_dispatches")
    .select("due_at")
    .where("vehicle_id", "=", car.vehicleId)
    .execute();
  expect(rows).toHaveLength(count);
  for (const { due_at: dueAt } of rows) expect(dueAt).toBeInstanceOf(Date);
}

test("forgetting passes over every car, and what they say again of the same connection counts", async () => {
  const car = await addParked();
  await say([of(car, "online", 3)]);
  await fleet.desiredState.forgetPresences();
  const known = await fleet.db
    .selectFrom("vehicle_links")
    .select("vin")
    .where("presence", "<>", "unknown")
    .execute();
  expect(known).toEqual([]);
  published();
  await say([of(car, "online", 3)]);
  expect(published().connected).toEqual([car.vehicleId]);
});

test("presences, forgetting, roll-outs and sendings about the same cars cross in any order and none is undone", async () => {
  const cars = await Promise.all(Array.from({ length: 12 }, addParked));
  const ids = cars.map((car) => car.vehicleId);
  const { db } = fleet;
  const rounds = Array.from({ length: 8 }, (_, round) => round + 1);
  const lockAndSay = (connection: number) =>
    db.transaction().execute(async (tx) => {
      // As the link does with everything it takes in.
      await tx
        .selectFrom("vehicle_links")
        .select("vehicle_id")
        .where("vehicle_id", "in", ids)
        .orderBy("vin")
        .forUpdate()
        .execute();
      await fleet.desiredState.recordPresences(
        tx,
        [...cars].reverse().map((car) => of(car, "online", connection)),
      );
    });
  await Promise.all(
    rounds.flatMap((round) => [
      lockAndSay(round),
      fleet.desiredState.forgetPresences(),
      db.transaction().execute((tx) =>
        fleet.desiredState.rollOut(tx, round % 2 === 0 ? ids : ids.toReversed(), {
          code: "firmware",
          configuration: { level: round },
        }),
      ),
      fleet.desiredState.takeDue(5),
    ]),
  );
  await lockAndSay(rounds.length + 1);
  for (const car of cars) expect(await recorded(car)).toEqual(["online", rounds.length + 1]);
});
