import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestFleet, type TestCar, type TestFleet } from "../../testing/fixtures/fleet.ts";

let fleet: TestFleet;

beforeAll(async () => {
  fleet = await startTestFleet();
});
afterAll(async () => {
  await fleet?.close();
});

async function readDeadlines(activationId: string): Promise<string[]> {
  const { entitlement_id: entitlementId } = await fleet.db
    .selectFrom("activations")
    .where("id", "=", activationId)
    .select("entitlement_id")
    .executeTakeFirstOrThrow();
  const timers = await fleet.db
    .selectFrom("timers")
    .where("subject_id", "in", [activationId, ...(entitlementId === null ? [] : [entitlementId])])
    .orderBy("kind")
    .select("kind")
    .execute();
  return timers.map(({ kind }) => kind);
}

async function buy(car: TestCar, state: string): Promise<string> {
  const activationId = await fleet.buy(car, "heatedSeats");
  await fleet.waitFor(activationId, state);
  return activationId;
}

describe("the deadlines of a service", () => {
  test("while its car is away, the end of its hold; when the customer cancels, none", async () => {
    const car = await fleet.addCar({ online: false });
    const activationId = await buy(car, "OTAQueue");
    expect(await readDeadlines(activationId)).toEqual(["activationGiveUp"]);
    const actor = { kind: "customer", id: car.customerId } as const;
    await fleet.db.transaction().execute((tx) => fleet.activations.cancel(tx, activationId, actor));
    expect(await readDeadlines(activationId)).toEqual([]);
  });

  test("once its car has proved it, the end of its term alone", async () => {
    const activationId = await buy(await fleet.addCar(), "ServiceActive");
    expect(await readDeadlines(activationId)).toEqual(["entitlementEnds"]);
  });

  test("after an attempt that failed, its next attempt too; after the last one, none", async () => {
    const car = await fleet.addCar();
    car.adapter.faults.unhealthy = "the seat heater does not answer";
    const activationId = await buy(car, "RetryQueue");
    expect(await readDeadlines(activationId)).toEqual(["activationGiveUp", "activationRetry"]);
    car.adapter.faults.rejects = "no seat heater is fitted";
    fleet.clock.advanceMs(300_000);
    await fleet.runTimers();
    await fleet.waitFor(activationId, "NoCharge");
    expect(await readDeadlines(activationId)).toEqual([]);
  });
});
