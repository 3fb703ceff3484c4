import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { defaultPresumptionLimits } from "../../../rules/presumption-policy.ts";
import { enqueue } from "../../../store/jobs.ts";
import { type PaidFleet, startPaidFleet } from "../../../testing/fixtures/paid-fleet.ts";
import { reconcileRefundsJob } from "../jobs.ts";
import { requestRefund } from "./refunds.ts";

const priceCents = 1_900;

let fleet: PaidFleet;
beforeAll(async () => {
  fleet = await startPaidFleet({ presumption: defaultPresumptionLimits, webhooks: false });
});
afterAll(() => fleet?.close());
afterEach(() => fleet.control("DELETE", "/_control/faults"));

async function refund(activationId: string, amountCents: number): Promise<string> {
  const { id } = await fleet.paymentOf(activationId);
  const { db, context } = fleet;
  const request = { amountCents, reason: "goodwill", requestedBy: "support-1" };
  // As the route does: a refusal undoes everything.
  const asked = await db.transaction().execute((tx) => requestRefund(context, tx, id, request));
  return asked.kind === "refused" ? asked.detail : asked.kind;
}

describe("money is given back [fault 27]", () => {
  test("a part: the customer keeps the service, and the ledger knows of both", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    expect(await refund(activationId, 500)).toBe("requested");
    expect(await fleet.runJobs()).toBe(0);
    expect(await fleet.takenAtGateway(activationId)).toMatchObject({
      capturedCents: priceCents,
      refundedCents: 500,
    });
    expect(await fleet.sumsOf(activationId)).toEqual({
      gatewayClearing: priceCents - 500,
      refunds: 500,
      serviceRevenue: -priceCents,
    });
    expect(await fleet.statusOf(activationId)).toBe("captured");
    expect(await fleet.codesOf(car)).toContain("heatedSeats");
    expect(fleet.messagesAbout(activationId)).toContain("NX5");
    expect((await fleet.wordsAbout(activationId)).verdict).toContain("A part of the price was given back.");
  });

  test("all of it: the service is withdrawn, and neither invariant is broken on the way", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    await refund(activationId, priceCents);
    await fleet.runJobs();
    expect(await fleet.statusOf(activationId)).toBe("refunded");
    expect(await fleet.codesOf(car)).not.toContain("heatedSeats");
    await fleet.waitUntilObeyed(car);
    expect(await fleet.entitlementOf(activationId)).toEqual({ state: "ended", end_reason: "refunded" });
    expect(await fleet.sumsOf(activationId)).toEqual({ refunds: priceCents, serviceRevenue: -priceCents });
    expect(await fleet.differencesOf(activationId)).toEqual([]);
  });

  test.each([
    ["two halves and a bit race", [1_000, 1_000], 1_000],
    ["two whole ones race", [priceCents, priceCents], priceCents],
    ["ten fifths race", Array.from({ length: 10 }, () => priceCents / 5), priceCents],
  ])("%s: never more than was captured is given back", async (_title, amounts, givenBack) => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    const asked = await Promise.all(amounts.map((cents) => refund(activationId, cents)));
    const first = amounts[0] ?? 0;
    expect(asked.filter((kind) => kind === "requested")).toHaveLength(givenBack / first);
    await Promise.all([fleet.runJobs(), fleet.runJobs()]);
    expect(await fleet.takenAtGateway(activationId)).toMatchObject({ refundedCents: givenBack });
    const sums = await fleet.sumsOf(activationId);
    expect(sums.refunds).toBe(givenBack);
    expect(Object.values(sums).reduce((sum, cents) => sum + cents, 0)).toBe(0);
  });

  test("a gateway that times out though it gave the money back is asked again: once", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    await fleet.control("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    await refund(activationId, 700);
    expect(await fleet.runJobs()).toBe(1);
    expect(await fleet.retryJobs()).toBe(0);
    expect(await fleet.takenAtGateway(activationId)).toMatchObject({ refundedCents: 700 });
    expect((await fleet.sumsOf(activationId)).refunds).toBe(700);
  });

  test("a bank was quicker with a charge-back: the refund is refused and no longer counted", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    const { id: reference } = await fleet.paymentOf(activationId);
    await fleet.control("POST", "/_control/disputes", { reference });
    await refund(activationId, 700);
    expect(await fleet.runJobs()).toBe(0);
    expect(await fleet.paymentOf(activationId)).toMatchObject({ refunded_cents: 0 });
    expect(await fleet.takenAtGateway(activationId)).toMatchObject({ refundedCents: 0 });
    expect((await fleet.sumsOf(activationId)).refunds).toBeUndefined();
    expect(fleet.tickets()).toContain("refundRefused");
  });

  test("the refusal of what was never captured, or is given back already, says why", async () => {
    const car = await fleet.addCar();
    await fleet.control("PUT", "/_control/faults", { failNext: { count: 1, status: 503 } });
    const activationId = await fleet.buy(car, "heatedSeats");
    expect(await refund(activationId, 100)).toBe("this payment is pending: there is nothing to give back");
    await fleet.retryJobs();
    await fleet.waitFor(activationId, "ServiceActive");
    await fleet.runJobs();
    expect(await refund(activationId, priceCents + 1)).toBe(
      "only 1900 cents of this payment are left to give back",
    );
  });

  test("a refund made in the gateway's own screens is recorded once; ours are recognised", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    await refund(activationId, 500);
    await fleet.runJobs();
    const payment = await fleet.paymentOf(activationId);
    const gatewayPaymentId = payment.gateway_payment_id ?? "";
    await fleet.giveBackAtGateway(gatewayPaymentId, 300);
    const { db } = fleet;
    for (let time = 0; time < 2; time += 1) {
      await db
        .transaction()
        .execute((tx) => enqueue(tx, reconcileRefundsJob, [{ payload: { paymentId: payment.id } }]));
      expect(await fleet.runJobs()).toBe(0);
    }
    expect(await fleet.paymentOf(activationId)).toMatchObject({ refunded_cents: 800, status: "captured" });
    expect((await fleet.sumsOf(activationId)).refunds).toBe(800);
    expect(fleet.messagesAbout(activationId).filter((row) => row === "NX5")).toHaveLength(2);
  });

  test("two cancellations and the car's proof race: one of them wins, once, and the ledger agrees with the gateway", async () => {
    for (let round = 0; round < 4; round += 1) {
      const car = await fleet.addCar();
      const activationId = await fleet.buy(car, "heatedSeats");
      await fleet.runJobs();
      const { db } = fleet;
      const cancel = () =>
        db
          .transaction()
          .execute((tx) =>
            fleet.activations.cancel(tx, activationId, { kind: "customer", id: car.customerId }),
          );
      const cancelled = (await Promise.all([cancel(), cancel()])).filter(({ kind }) => kind === "cancelled");
      expect(cancelled.length).toBeLessThanOrEqual(1);
      await Promise.all([fleet.runJobs(), fleet.runJobs()]);
      await fleet.waitUntilObeyed(car);
      await fleet.runJobs();
      const isCancelled = cancelled.length === 1;
      expect(await fleet.statusOf(activationId)).toBe(isCancelled ? "voided" : "captured");
      expect(await fleet.takenAtGateway(activationId)).toMatchObject({
        heldCents: 0,
        capturedCents: isCancelled ? 0 : priceCents,
      });
      expect(await fleet.sumsOf(activationId)).toEqual(
        isCancelled ? {} : { gatewayClearing: priceCents, serviceRevenue: -priceCents },
      );
    }
  });
});
