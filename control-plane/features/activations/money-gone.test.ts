import { dayMs } from "@caas/contract/durations.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultPresumptionLimits } from "../../rules/presumption-policy.ts";
import type { TestCar } from "../../testing/fixtures/fleet.ts";
import { type PaidFleet, startPaidFleet } from "../../testing/fixtures/paid-fleet.ts";
import { signInBuyer } from "../../testing/fixtures/sales.ts";
import { requestRefund } from "../payments/money-back/refunds.ts";
import { readActivations } from "./read-activations.ts";

const priceCents = 1_900;

let fleet: PaidFleet;
beforeAll(async () => {
  fleet = await startPaidFleet({ presumption: defaultPresumptionLimits, webhooks: true });
});
afterAll(() => fleet?.close());

async function byHand(activationId: string, action: "capture" | "void"): Promise<void> {
  const { id: reference } = await fleet.paymentOf(activationId);
  await fleet.control("POST", "/_control/payments", { reference, action });
}

/** Until what the gateway's messages ask for has made the payment so. */
async function untilStatus(activationId: string, status: string): Promise<void> {
  await fleet.waitUntil(`the payment is ${status}`, async () => {
    await fleet.retryJobs();
    return (await fleet.statusOf(activationId)) === status ? true : undefined;
  });
}

async function refundAll(activationId: string): Promise<void> {
  const { id } = await fleet.paymentOf(activationId);
  const request = { amountCents: priceCents, reason: "goodwill", requestedBy: "support-1" };
  await fleet.db.transaction().execute((tx) => requestRefund(fleet.context, tx, id, request));
  await fleet.runJobs();
}

/** Of every manifest that the car was ever given. */
async function everCarried(car: TestCar, code: string): Promise<boolean> {
  const manifests = fleet.db.selectFrom("manifests").where("vehicle_id", "=", car.vehicleId);
  return JSON.stringify(await manifests.select("entries").execute()).includes(`"${code}"`);
}

/** What the car's owner reads of an activation. */
async function readBy(car: TestCar, activationId: string) {
  const owner = await signInBuyer(fleet, car);
  const answer = await owner.get(`/api/activations/${activationId}`);
  expect(answer.status).toBe(200);
  return answer.body;
}

describe("the hold is voided at the gateway while the car is away, and we know it", () => {
  test("it waits for the car: no charge at once, and nothing goes over the air when the car is back [F12]", async () => {
    const car = await fleet.addCar({ online: false });
    const activationId = await fleet.buy(car, "heatedSeats");
    expect(await fleet.stateOf(activationId)).toBe("OTAQueue");
    await byHand(activationId, "void");
    await untilStatus(activationId, "voided");
    expect(await fleet.stateOf(activationId)).toBe("NoCharge");
    await car.drive();
    const next = await fleet.buy(car, "ambientLight");
    await fleet.waitFor(next, "ServiceActive");
    expect(await everCarried(car, "heatedSeats")).toBe(false);
    expect(fleet.messagesAbout(activationId)).toEqual(["NX12"]);
    expect(await fleet.sumsOf(activationId)).toEqual({});
    expect(await fleet.differencesOf(activationId)).toEqual([]);
    expect((await fleet.wordsAbout(activationId)).verdict).toBe(
      "heatedSeats is not active: the bank let the price go before the car proved it. Nothing was charged.",
    );
  });

  test("it is on its way: the next version takes it back, and a car that applies it late is not charged [F12]", async () => {
    const car = await fleet.addCar();
    await fleet.fallSilent(car);
    const activationId = await fleet.buy(car, "heatedSeats");
    expect(await fleet.stateOf(activationId)).toBe("OTAAttempt");
    expect(await fleet.codesOf(car)).toContain("heatedSeats");
    await byHand(activationId, "void");
    await untilStatus(activationId, "voided");
    expect(await fleet.stateOf(activationId)).toBe("NoCharge");
    expect(await fleet.codesOf(car)).not.toContain("heatedSeats");
    await car.drive();
    await fleet.waitUntilObeyed(car);
    await fleet.runJobs();
    expect(await fleet.entitlementOf(activationId)).toMatchObject({ state: "ended", end_reason: "holdLost" });
    expect(await fleet.takenAtGateway(activationId)).toMatchObject({ heldCents: 0, capturedCents: 0 });
  });

  test("between two attempts: there is no other attempt [F12]", async () => {
    const car = await fleet.addCar();
    car.adapter.faults.unhealthy = "not now";
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(activationId, "RetryQueue");
    await byHand(activationId, "void");
    await untilStatus(activationId, "voided");
    expect(await fleet.stateOf(activationId)).toBe("NoCharge");
    await fleet.lookUpAfter(dayMs);
    expect(await fleet.stateOf(activationId)).toBe("NoCharge");
  });

  test("a hold that stands is delivered when the car is back [F12]", async () => {
    const car = await fleet.addCar({ online: false });
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.retryJobs();
    await car.drive();
    await fleet.waitFor(activationId, "ServiceActive");
    await fleet.runJobs();
    expect(await fleet.statusOf(activationId)).toBe("captured");
  });

  test("captured by hand and refunded in full before the car began: it never comes [F12]", async () => {
    const car = await fleet.addCar({ online: false });
    const activationId = await fleet.buy(car, "heatedSeats");
    await byHand(activationId, "capture");
    await untilStatus(activationId, "captured");
    await refundAll(activationId);
    expect([await fleet.stateOf(activationId), await fleet.statusOf(activationId)]).toEqual([
      "NoCharge",
      "refunded",
    ]);
    expect(fleet.messagesAbout(activationId)).toContain("NX5");
    expect((await fleet.wordsAbout(activationId)).verdict).toBe(
      "heatedSeats is not active: its price went back before the car proved it. The whole price was given back.",
    );
  });

  test("captured by hand and charged back before the car began: it never comes [F12]", async () => {
    const car = await fleet.addCar({ online: false });
    const activationId = await fleet.buy(car, "heatedSeats");
    await byHand(activationId, "capture");
    await untilStatus(activationId, "captured");
    const { id: reference } = await fleet.paymentOf(activationId);
    await fleet.control("POST", "/_control/disputes", { reference });
    await untilStatus(activationId, "chargedBack");
    expect(await fleet.stateOf(activationId)).toBe("NoCharge");
  });
});

describe("what the customer reads of a purchase says whether it has ended, when and why", () => {
  test("it runs: its term is named, and no end, nor the time of one [N6, 28]", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    expect(await readBy(car, activationId)).toMatchObject({
      state: "ServiceActive",
      validUntil: expect.any(String),
      ended: null,
      endedAt: null,
    });
  });

  test("refunded in full: it ended then, because of that, and has no term any more [N6]", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    await fleet.fallSilent(car);
    await refundAll(activationId);
    const ended = {
      at: fleet.clock.now().toISOString(),
      reason: "refunded",
      inWords: "The whole price was given back, so the service was switched off.",
    };
    expect(await readBy(car, activationId)).toMatchObject({
      state: "ServiceActive",
      validUntil: null,
      ended,
    });
    await car.drive();
    fleet.clock.advanceMs(60_000);
    await fleet.waitUntilObeyed(car);
    const owner = await fleet.db
      .selectFrom("activations")
      .where("id", "=", activationId)
      .selectAll()
      .execute();
    expect(owner).toHaveLength(1);
    expect(await fleet.entitlementOf(activationId)).toEqual({ state: "ended", end_reason: "refunded" });
  });

  test("refunded in part: it runs on [N6]", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    const { id } = await fleet.paymentOf(activationId);
    const request = { amountCents: 500, reason: "goodwill", requestedBy: "support-1" };
    await fleet.db.transaction().execute((tx) => requestRefund(fleet.context, tx, id, request));
    await fleet.runJobs();
    expect(await readBy(car, activationId)).toMatchObject({ validUntil: expect.any(String), ended: null });
  });

  test("the bank refused what it had held, after the car's proof [N6]", async () => {
    const car = await fleet.addCar();
    await fleet.control("PUT", "/_control/cards/pm_card_visa", { behaviour: "declineCapture" });
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(activationId, "ServiceActive");
    await fleet.runJobs();
    await fleet.control("PUT", "/_control/cards/pm_card_visa", { behaviour: "approve" });
    expect(await readBy(car, activationId)).toMatchObject({
      state: "ServiceActive",
      validUntil: null,
      endedAt: expect.any(String),
      ended: {
        reason: "lateDecline",
        inWords: "The bank did not pay after all, so the service was switched off. Nothing was charged.",
      },
    });
  });

  test("charged back [N6]", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    const { id: reference } = await fleet.paymentOf(activationId);
    await fleet.control("POST", "/_control/disputes", { reference });
    await untilStatus(activationId, "chargedBack");
    expect(await readBy(car, activationId)).toMatchObject({
      validUntil: null,
      ended: { reason: "chargeBack" },
    });
  });

  test("never delivered: cancelled, or the hold was lost [N6]", async () => {
    const car = await fleet.addCar({ online: false });
    const cancelled = await fleet.buy(car, "heatedSeats");
    await fleet.db
      .transaction()
      .execute((tx) => fleet.activations.cancel(tx, cancelled, { kind: "customer", id: car.customerId }));
    const lost = await fleet.buy(car, "highwayAssist");
    await byHand(lost, "void");
    await untilStatus(lost, "voided");
    const owner = await signInBuyer(fleet, car);
    const read = async (id: string) => (await owner.get(`/api/activations/${id}`)).body;
    const at = fleet.clock.now().toISOString();
    expect(await read(cancelled)).toMatchObject({
      validUntil: null,
      ended: { at, reason: "customerCancelled" },
    });
    expect(await read(lost)).toMatchObject({ validUntil: null, ended: { at, reason: "holdLost" } });
  });

  test("its term is over: it ended at the end of the term, which stays named [N6]", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    await fleet.lookUpAfter(31 * dayMs);
    await fleet.waitUntilObeyed(car);
    const [activation] = await readActivations(fleet.db, { ids: [activationId] });
    expect(activation?.ended).toEqual({
      at: activation?.validUntil,
      reason: "termEnded",
      inWords: "The term that was paid for is over.",
    });
    expect(activation?.validUntil).not.toBeNull();
    expect(await fleet.differencesOf(activationId)).toEqual([]);
  });
});

describe("money for a term that was over when it was taken", () => {
  test("is an offender until it is given back; a term that ends afterwards is none [R1]", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    expect(await fleet.differencesOf(activationId)).toEqual([]);
    const { settled_at: takenAt } = await fleet.paymentOf(activationId);
    const { entitlement_id: entitlementId } = await fleet.db
      .selectFrom("activations")
      .where("id", "=", activationId)
      .select("entitlement_id")
      .executeTakeFirstOrThrow();
    const endTermAt = (ms: number) =>
      fleet.db
        .updateTable("entitlements")
        .set({ valid_until: new Date((takenAt?.getTime() ?? 0) + ms) })
        .where("id", "=", entitlementId)
        .execute();
    await endTermAt(1);
    expect(await fleet.differencesOf(activationId)).toEqual([]);
    await endTermAt(0);
    expect(await fleet.differencesOf(activationId)).toEqual(["moneyWithoutService violated"]);
    await refundAll(activationId);
    await fleet.waitUntilObeyed(car);
    expect(await fleet.differencesOf(activationId)).toEqual([]);
  });
});
