import { dayMs } from "@caas/contract/durations.ts";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { defaultPresumptionLimits } from "../../../rules/presumption-policy.ts";
import { type PaidFleet, startPaidFleet } from "../../../testing/fixtures/paid-fleet.ts";
import { requestRefund } from "./refunds.ts";

const priceCents = 1_900;

let fleet: PaidFleet;
beforeAll(async () => {
  fleet = await startPaidFleet({ presumption: defaultPresumptionLimits, webhooks: true });
});
afterAll(() => fleet?.close());
beforeEach(() => hearTheGateway(true));

async function hearTheGateway(does: boolean): Promise<void> {
  const baseUrl = does ? fleet.controlPlaneUrl : "http://127.0.0.1:1";
  await fleet.control("PUT", "/_control/webhooks", { baseUrl });
}

/** Gives money back, and the gateway has done it. */
async function refund(activationId: string, amountCents: number): Promise<void> {
  const { id } = await fleet.paymentOf(activationId);
  const request = { amountCents, reason: "goodwill", requestedBy: "support-1" };
  const asked = await fleet.db.transaction().execute((tx) => requestRefund(fleet.context, tx, id, request));
  expect(asked.kind).toBe("requested");
  await fleet.runJobs();
}

/** The customer's bank sends it back. */
async function sendBack(activationId: string): Promise<void> {
  const { id } = await fleet.paymentOf(activationId);
  const refunds = fleet.db.selectFrom("refunds").where("payment_id", "=", id).orderBy("created_at", "desc");
  const { gateway_refund_id: refundId } = await refunds.selectAll().executeTakeFirstOrThrow();
  await fleet.control("PUT", `/_control/refunds/${refundId}`, {
    status: "failed",
    failureReason: "lost_or_stolen_card",
  });
}

async function untilRefunded(activationId: string, cents: number): Promise<void> {
  await fleet.waitUntil("the refund is taken back", async () => {
    await fleet.retryJobs();
    return (await fleet.paymentOf(activationId)).refunded_cents === cents ? true : undefined;
  });
}

const ticketsAbout = (activationId: string) =>
  fleet.published.flatMap(({ name, event }) =>
    name === "taskNeeded" && event.subject.activationId === activationId ? [event.kind] : [],
  );

describe("a refund that the customer's bank sends back days later", () => {
  test("of the whole price: the ledger takes it back, a person gives it in another way, the customer is told [F11]", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    await refund(activationId, priceCents);
    expect(await fleet.statusOf(activationId)).toBe("refunded");
    await sendBack(activationId);
    await untilRefunded(activationId, 0);
    expect(await fleet.statusOf(activationId)).toBe("captured");
    expect(await fleet.sumsOf(activationId)).toEqual({
      gatewayClearing: priceCents,
      serviceRevenue: -priceCents,
    });
    expect(ticketsAbout(activationId)).toEqual(["refundFailed"]);
    expect(fleet.messagesAbout(activationId)).toContain("NX13");
    const letter = fleet.fakes.mail
      .to(car.customerEmail)
      .find(({ subject }) => subject.includes("came back"));
    expect(letter?.text).toContain("€19.00");
    expect((await fleet.wordsAbout(activationId)).inWords.slice(-1)).toEqual([
      "The 1900 cents came back to us (lost_or_stolen_card); support gives them back in another way.",
    ]);
    // Heard again, by a message or a look-up, it changes nothing.
    await fleet.lookUpAfter(dayMs);
    expect(ticketsAbout(activationId)).toEqual(["refundFailed"]);
    // It can be given back again.
    await refund(activationId, priceCents);
    expect(await fleet.statusOf(activationId)).toBe("refunded");
  });

  test("of a part: the payment stays captured, and the part is ours again [F11]", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    await refund(activationId, 500);
    await sendBack(activationId);
    await untilRefunded(activationId, 0);
    expect(await fleet.statusOf(activationId)).toBe("captured");
    expect((await fleet.sumsOf(activationId)).refunds).toBeUndefined();
    expect(await fleet.codesOf(car)).toContain("heatedSeats");
  });

  test("the gateway's message is lost: a look-up finds it, a day to a month after the refund [F11]", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    await hearTheGateway(false);
    await refund(activationId, priceCents);
    await fleet.lookUpAfter(5 * dayMs);
    expect(await fleet.statusOf(activationId)).toBe("refunded");
    await sendBack(activationId);
    await fleet.lookUpAfter(2 * dayMs);
    expect(await fleet.statusOf(activationId)).toBe("captured");
    expect(ticketsAbout(activationId)).toEqual(["refundFailed"]);
  });

  test("a refund that stands is looked up and stays one [F11]", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    await refund(activationId, priceCents);
    for (const days of [1, 2, 4, 7, 16]) await fleet.lookUpAfter(days * dayMs);
    expect(await fleet.statusOf(activationId)).toBe("refunded");
    const timers = fleet.db.selectFrom("timers").where("kind", "=", "refundLookUp").selectAll();
    expect(await timers.execute()).toEqual([]);
  });
});
