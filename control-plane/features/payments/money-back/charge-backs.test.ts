import { dayMs } from "@caas/contract/durations.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GatewayDispute } from "../../../partners/payment-gateway.ts";
import { defaultPresumptionLimits } from "../../../rules/presumption-policy.ts";
import { type PaidFleet, startPaidFleet } from "../../../testing/fixtures/paid-fleet.ts";
import { recordDispute } from "./charge-backs.ts";

const priceCents = 1_900;

let fleet: PaidFleet;
beforeAll(async () => {
  fleet = await startPaidFleet({ presumption: defaultPresumptionLimits, webhooks: true });
});
afterAll(() => fleet?.close());

/** The customer's bank takes the payment back; its messages reach the platform by themselves. */
async function chargeBack(activationId: string): Promise<string> {
  const { id: reference } = await fleet.paymentOf(activationId);
  const dispute = await fleet.control("POST", "/_control/disputes", { reference, reason: "unrecognized" });
  if (dispute === null || typeof dispute !== "object" || !("id" in dispute)) throw new Error("no dispute");
  return String(dispute.id);
}

/** Runs what the gateway's messages asked for, until the payment is `status`. */
async function untilStatus(activationId: string, status: string): Promise<void> {
  const giveUpAt = Date.now() + 20_000;
  while ((await fleet.statusOf(activationId)) !== status) {
    await fleet.runJobs();
    if (Date.now() > giveUpAt) throw new Error(`the payment is ${await fleet.statusOf(activationId)}`);
  }
}

function heard(activationId: string): string[] {
  const names = ["servicePaymentChargedBack", "serviceChargeBackClosed", "taskNeeded", "notificationDue"];
  return fleet.published.flatMap(({ name, event }) => {
    if (!names.includes(name) || !JSON.stringify(event).includes(activationId)) return [];
    if (name === "taskNeeded") return [`task ${event.kind}`];
    if (name === "notificationDue") return [event.row];
    return [name];
  });
}

describe("a charge-back after the capture [FA5]", () => {
  test("the service leaves the car, the ledger sums to zero, support and customer are told, and it is counted apart", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    await fleet.fallSilent(car);
    await chargeBack(activationId);
    await untilStatus(activationId, "chargedBack");
    expect(await fleet.codesOf(car)).not.toContain("heatedSeats");
    expect(await fleet.entitlementOf(activationId)).toEqual({ state: "ending", end_reason: "chargeBack" });
    expect(await fleet.differencesOf(activationId)).toEqual(["serviceWithoutMoney chargeBack"]);
    await car.drive();
    await fleet.waitUntilObeyed(car);
    expect(await fleet.entitlementOf(activationId)).toEqual({ state: "ended", end_reason: "chargeBack" });
    expect(await fleet.differencesOf(activationId)).toEqual([]);
    const sums = await fleet.sumsOf(activationId);
    expect(sums).toEqual({ chargeBacks: priceCents, serviceRevenue: -priceCents });
    expect(heard(activationId)).toEqual(
      expect.arrayContaining(["task chargeBack", "servicePaymentChargedBack", "NX4"]),
    );
    const words = await fleet.wordsAbout(activationId);
    expect(words.verdict).toBe(
      "heatedSeats was active and charged; then the bank took the money back (charge-back), so it was withdrawn.",
    );
    expect(words.inWords.slice(-2)).toEqual([
      "The customer's bank took 1900 cents back (unrecognized): a charge-back.",
      "heatedSeats is taken out of the car again (chargeBack).",
    ]);
  });

  test("messages that come again, late or in another order have one effect", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    const { id } = await fleet.paymentOf(activationId);
    const dispute: GatewayDispute = {
      gatewayDisputeId: "dp_reordered",
      amountCents: priceCents,
      reason: "fraudulent",
      status: "lost",
    };
    const hear = (status: GatewayDispute["status"]) =>
      fleet.db.transaction().execute((tx) => recordDispute(fleet.context, tx, id, { ...dispute, status }));
    await hear("inquiry");
    expect(await fleet.statusOf(activationId)).toBe("captured");
    // The last word first; what was asked before it is answered after it.
    await hear("lost");
    await Promise.all([hear("open"), hear("lost"), hear("open"), hear("won")]);
    expect(await fleet.statusOf(activationId)).toBe("chargedBack");
    expect(await fleet.sumsOf(activationId)).toEqual({
      chargeBacks: priceCents,
      serviceRevenue: -priceCents,
    });
    expect(heard(activationId).filter((name) => name === "servicePaymentChargedBack")).toHaveLength(1);
    expect(heard(activationId).filter((name) => name === "NX4")).toHaveLength(1);
    expect(heard(activationId).filter((name) => name === "serviceChargeBackClosed")).toHaveLength(1);
  });

  test("won: the money is back and support sees what the customer is owed", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    const dispute = await chargeBack(activationId);
    await untilStatus(activationId, "chargedBack");
    await fleet.control("PUT", `/_control/disputes/${dispute}`, { status: "won" });
    await untilStatus(activationId, "captured");
    expect(await fleet.sumsOf(activationId)).toEqual({
      gatewayClearing: priceCents,
      serviceRevenue: -priceCents,
    });
    expect(heard(activationId)).toContain("task chargeBackWon");
    await fleet.waitUntilObeyed(car);
    // Until a person has settled it with the customer.
    expect(await fleet.differencesOf(activationId)).toEqual(["moneyWithoutService owed"]);
  });

  test("a service whose term has ended is not withdrawn again, and the money is still recorded", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    await fleet.lookUpAfter(31 * dayMs);
    await fleet.waitUntilObeyed(car);
    const before = await fleet.entitlementOf(activationId);
    await chargeBack(activationId);
    await untilStatus(activationId, "chargedBack");
    expect(await fleet.entitlementOf(activationId)).toEqual(before);
    expect(before).toEqual({ state: "ended", end_reason: "termEnded" });
    expect((await fleet.wordsAbout(activationId)).inWords).not.toContain("taken out of the car");
  });

  test("a customer who has charged a payment back is not trusted again: the next unanswered payment waits [PP4]", async () => {
    const car = await fleet.knownCustomersCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    await chargeBack(activationId);
    await untilStatus(activationId, "chargedBack");
    await fleet.waitUntilObeyed(car);
    const next = await fleet.buyUnanswered(car, "highwayAssist", "charged");
    expect(await fleet.paymentOf(next)).toMatchObject({ status: "pending", waits_because: "PP4" });
    await fleet.control("DELETE", "/_control/faults");
    await fleet.retryJobs();
  });
});
