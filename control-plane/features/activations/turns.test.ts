import { dayMs, hourMs, minuteMs } from "@caas/contract/durations.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultPresumptionLimits } from "../../rules/presumption-policy.ts";
import { type PaidFleet, startPaidFleet } from "../../testing/fixtures/paid-fleet.ts";
import { signInBuyer } from "../../testing/fixtures/sales.ts";
import { readActivations } from "./read-activations.ts";

const priceCents = 1_900;

let fleet: PaidFleet;
beforeAll(async () => {
  fleet = await startPaidFleet({ presumption: defaultPresumptionLimits, webhooks: false });
});
afterAll(() => fleet?.close());

async function read(activationId: string) {
  const [activation] = await readActivations(fleet.db, { ids: [activationId] });
  if (activation === undefined) throw new Error("there is no such activation");
  return activation;
}

test("several terms of a service are paid and delivered in full: price and term are that many times one", async () => {
  const car = await fleet.addCar();
  const owner = await signInBuyer(fleet, car);
  const bought = await owner.post(`/api/vehicles/${car.vehicleId}/activations`, {
    serviceId: fleet.serviceId("heatedSeats"),
    terms: 3,
    paymentMethod: "pm_card_visa",
  });
  expect(bought.body).toMatchObject({ priceCents: 3 * priceCents, durationDays: 90 });
  const activationId = bought.text("id");
  await fleet.runJobs();
  expect((await fleet.takenAtGateway(activationId)).heldCents).toBe(3 * priceCents);
  await fleet.waitFor(activationId, "ServiceActive");
  await fleet.runJobs();
  expect((await fleet.takenAtGateway(activationId)).capturedCents).toBe(3 * priceCents);
  const { validUntil } = await read(activationId);
  const { at: appliedAt } = await fleet.db
    .selectFrom("steps")
    .where("activation_id", "=", activationId)
    .where("event", "=", "activationConfirmed")
    .select("at")
    .executeTakeFirstOrThrow();
  const termMs = new Date(validUntil ?? 0).getTime() - appliedAt.getTime();
  expect(Math.abs(termMs - 90 * dayMs)).toBeLessThan(minuteMs);
});

describe("which purchase a car begins with", () => {
  test("the oldest that waits for it", async () => {
    const car = await fleet.addCar({ online: false });
    const first = await fleet.buy(car, "heatedSeats");
    fleet.clock.advanceMs(1_000);
    const second = await fleet.buy(car, "ambientLight");
    await car.drive();
    await fleet.waitFor(second, "ServiceActive");
    const versionOf = async (id: string) => (await read(id)).attempts[0]?.version ?? 0;
    expect(await versionOf(first)).toBeLessThan(await versionOf(second));
  });

  test("none in the last hour of its hold: the car could not commit it in time", async () => {
    const car = await fleet.addCar({ online: false });
    const activationId = await fleet.buy(car, "heatedSeats");
    fleet.clock.advanceMs(7 * dayMs - 30 * minuteMs);
    await car.drive();
    const other = await fleet.buy(car, "ambientLight");
    await fleet.waitFor(other, "ServiceActive");
    expect(await read(activationId)).toMatchObject({ state: "OTAQueue", attempts: [] });
    await fleet.lookUpAfter(30 * minuteMs);
    expect((await read(activationId)).state).toBe("NoCharge");
  });
});

test("a presumption that is confirmed: from there on the hold's own end is the deadline", async () => {
  const car = await fleet.knownCustomersCar();
  await car.park();
  const activationId = await fleet.buyUnanswered(car, "heatedSeats", "charged");
  await fleet.lookUpAfter(10_000);
  expect(await fleet.statusOf(activationId)).toBe("authorised");
  await fleet.lookUpAfter(dayMs + hourMs);
  expect((await read(activationId)).state).toBe("OTAQueue");
  await fleet.lookUpAfter(6 * dayMs);
  expect((await read(activationId)).state).toBe("NoCharge");
});
