import { randomUUID } from "node:crypto";
import { dayMs } from "@caas/contract/durations.ts";
import { signAsStripe } from "@caas/simulator/stand-ins/gateway/server.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { GatewayDispute } from "../../../partners/payment-gateway.ts";
import { ledgerSumsOf } from "../../../testing/fixtures/ledger-sums.ts";
import { type ServicePayments, startServicePayments } from "../../../testing/fixtures/service-payments.ts";
import { gatewaySecret, partnerApiKey } from "../../../testing/test-platform.ts";
import { hearAnswers } from "../hear.ts";
import { recordDispute } from "../money-back/charge-backs.ts";

const priceCents = 2_999;

let platform: ServicePayments;
beforeAll(async () => {
  platform = await startServicePayments("gateway_truth", priceCents);
});
afterAll(() => platform?.close());
afterEach(() => platform.gateway("DELETE", "/_control/faults"));

/** Held at the gateway and known to be. */
async function hold(amountCents = priceCents) {
  const activationId = await platform.request({ amountCents });
  expect(await platform.runJobs()).toBe(0);
  const payment = await platform.paymentOf(activationId);
  expect(payment.status).toBe("authorised");
  return { activationId, id: payment.id, gatewayPaymentId: payment.gateway_payment_id ?? "" };
}

async function capture(amountCents = priceCents) {
  const held = await hold(amountCents);
  await platform.publish("serviceCaptureRequested", { activationId: held.activationId });
  expect(await platform.runJobs()).toBe(0);
  expect((await platform.paymentOf(held.activationId)).status).toBe("captured");
  return held;
}

/** In the gateway's own screens. */
async function byHand(reference: string, action: "capture" | "void", taken: object = {}): Promise<void> {
  await platform.gateway("POST", "/_control/payments", { reference, action, ...taken });
}

/** A correctly signed message of the gateway; the status it was answered with. */
async function tellFromGateway(type: string, object: object): Promise<number> {
  const id = `evt_${randomUUID()}`;
  const body = JSON.stringify({ id, object: "event", type, data: { object } });
  const reply = await platform.server.inject({
    method: "POST",
    url: "/webhooks/payments",
    headers: {
      "content-type": "application/json",
      ...signAsStripe(gatewaySecret)(id, new Date(), body),
    },
    payload: body,
  });
  // Stored and answered; a job judges it.
  await platform.runJobs();
  return reply.statusCode;
}

async function hearOf(type: string, reference: string, gatewayPaymentId: string): Promise<void> {
  expect(await tellFromGateway(type, { id: gatewayPaymentId, metadata: { reference } })).toBeLessThan(300);
  await platform.retryJobs();
}

/** Somebody else's payment at the same gateway. */
async function payElsewhere(reference: string, amountCents: number): Promise<string> {
  const answer = await fetch(`${platform.standIn("gateway").url}/v1/payment_intents`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${partnerApiKey}`,
      "content-type": "application/x-www-form-urlencoded",
      "idempotency-key": randomUUID(),
    },
    body: new URLSearchParams({
      amount: String(amountCents),
      currency: "eur",
      payment_method: "pm_card_visa",
      confirm: "true",
      "metadata[reference]": reference,
    }),
  });
  const made: unknown = await answer.json();
  if (made === null || typeof made !== "object" || !("id" in made)) throw new Error(`${answer.status}`);
  return String(made.id);
}

const balancesOf = (paymentId: string) => ledgerSumsOf(platform.db, paymentId);

const tasksAbout = (activationId: string) =>
  platform.published.flatMap(({ name, event }) =>
    name === "taskNeeded" && event.subject.activationId === activationId ? [event] : [],
  );

describe("the captured amount is what the gateway took", () => {
  test.each([
    ["249 of a hold of 499", 499, 249],
    ["one cent less", 499, 498],
    ["more than was held", 499, 600],
  ])(
    "%s captured by hand: the books say what was taken, and a person sees the difference [F10]",
    async (_title, heldCents, takenCents) => {
      const { activationId, id, gatewayPaymentId } = await hold(heldCents);
      await byHand(id, "capture", { amountCents: takenCents });
      await hearOf("payment_intent.succeeded", id, gatewayPaymentId);
      expect(await balancesOf(id)).toEqual({ gatewayClearing: takenCents, serviceRevenue: -takenCents });
      expect(tasksAbout(activationId)).toMatchObject([
        { kind: "otherAmountTaken", detail: { amountCents: heldCents, takenCents } },
      ]);
      const { support } = platform.staff;
      const read = await support.get(`/api/payments/${id}`);
      expect(read.body).toMatchObject({
        status: "captured",
        amountCents: heldCents,
        capturedCents: takenCents,
      });
      const give = (amountCents: number) =>
        support.post(`/api/payments/${id}/refunds`, { amountCents, reason: "wrong amount" });
      expect((await give(takenCents + 1)).text("detail")).toBe(
        `only ${takenCents} cents of this payment are left to give back`,
      );
      expect((await give(takenCents)).status).toBe(202);
      await platform.runJobs();
      expect((await platform.paymentOf(activationId)).status).toBe("refunded");
      expect(await balancesOf(id)).toEqual({ refunds: takenCents, serviceRevenue: -takenCents });
    },
  );

  test("the price itself captured by hand is no difference [F10]", async () => {
    const { activationId, id, gatewayPaymentId } = await hold();
    await byHand(id, "capture");
    await hearOf("payment_intent.succeeded", id, gatewayPaymentId);
    expect(await platform.paymentOf(activationId)).toMatchObject({
      status: "captured",
      captured_cents: priceCents,
    });
    expect(tasksAbout(activationId)).toEqual([]);
  });

  test("captured by hand before the car's proof: the proof finds it taken, and takes nothing more [F10]", async () => {
    const { activationId, id } = await hold(499);
    await byHand(id, "capture", { amountCents: 249 });
    await platform.publish("serviceCaptureRequested", { activationId });
    expect(await platform.runJobs()).toBe(0);
    expect(await balancesOf(id)).toEqual({ gatewayClearing: 249, serviceRevenue: -249 });
    expect(tasksAbout(activationId).map(({ kind }) => kind)).toEqual(["otherAmountTaken"]);
  });

  test("captured in another currency: no money is booked, and a person compares the two, once [F10, R4]", async () => {
    const { activationId, id, gatewayPaymentId } = await hold();
    await byHand(id, "capture", { currency: "usd" });
    await hearOf("payment_intent.succeeded", id, gatewayPaymentId);
    await hearOf("payment_intent.succeeded", id, gatewayPaymentId);
    expect(await platform.paymentOf(activationId)).toMatchObject({
      status: "authorised",
      mismatch: "currency",
    });
    expect(await balancesOf(id)).toEqual({ cardHolds: priceCents, cardHoldsContra: -priceCents });
    expect(tasksAbout(activationId)).toMatchObject([
      { kind: "paymentMismatch", detail: { differs: "currency", currency: "EUR", theirCurrency: "USD" } },
    ]);
  });
});

describe("a message names somebody else's payment", () => {
  test("our reference and another's intent: ours is asked about by the id we stored, and stays as it is [R4]", async () => {
    const { activationId, id } = await hold();
    const foreign = await payElsewhere(id, 499);
    await hearOf("payment_intent.succeeded", id, foreign);
    expect(await platform.paymentOf(activationId)).toMatchObject({ status: "authorised", mismatch: null });
    expect(await balancesOf(id)).toEqual({ cardHolds: priceCents, cardHoldsContra: -priceCents });
    // Ours is still taken and let go by its own id.
    await platform.publish("serviceCaptureRequested", { activationId });
    expect(await platform.runJobs()).toBe(0);
    expect(await balancesOf(id)).toEqual({ gatewayClearing: priceCents, serviceRevenue: -priceCents });
  });

  test("while we know no id yet, another's payment of our reference books nothing, and a person compares [R4]", async () => {
    const { customerId: stranger } = await platform.sell();
    await platform.gateway("PUT", "/_control/faults", { timeOutBeforeDoingNext: { count: 1 } });
    const activationId = await platform.request({ payer: stranger });
    expect(await platform.runJobs()).toBe(1);
    const { id } = await platform.paymentOf(activationId);
    const foreign = await payElsewhere(id, 499);
    await hearOf("payment_intent.succeeded", id, foreign);
    expect(await platform.paymentOf(activationId)).toMatchObject({
      status: "pending",
      gateway_payment_id: null,
      mismatch: "amount",
    });
    expect(await balancesOf(id)).toEqual({});
    expect(tasksAbout(activationId)).toMatchObject([
      { kind: "paymentMismatch", detail: { differs: "amount", theirAmountCents: 499 } },
    ]);
  });

  test("beside another's payment of our reference, ours is found by its amount [R4]", async () => {
    const { customerId: stranger } = await platform.sell();
    await platform.gateway("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    const activationId = await platform.request({ payer: stranger });
    expect(await platform.runJobs()).toBe(1);
    const { id } = await platform.paymentOf(activationId);
    await payElsewhere(id, 499);
    await platform.retryJobs();
    expect(await platform.paymentOf(activationId)).toMatchObject({ status: "authorised", mismatch: null });
  });

  test("a refund of another's payment says nothing of ours [R4]", async () => {
    const { activationId, id } = await capture();
    const foreign = await payElsewhere(id, 499);
    await tellFromGateway("charge.refunded", { id: "ch_foreign", payment_intent: foreign });
    // It is known as another's after some tries: ours might have been recorded a moment later.
    while ((await platform.retryJobs()) > 0);
    expect(await platform.paymentOf(activationId)).toMatchObject({ status: "captured", refunded_cents: 0 });
  });
});

test("one message a second about one payment: it is asked about at the latest a fixed time after the first [F13]", async () => {
  const { id, gatewayPaymentId } = await hold();
  const dueAt = async () => {
    const job = platform.db.selectFrom("jobs").where("key", "=", `reconcilePayment:${id}`).select("due_at");
    return (await job.executeTakeFirstOrThrow()).due_at;
  };
  await byHand(id, "void");
  const message = { id: gatewayPaymentId, metadata: { reference: id } };
  await tellFromGateway("payment_intent.canceled", message);
  const first = await dueAt();
  for (let more = 0; more < 3; more += 1) await tellFromGateway("payment_intent.canceled", message);
  expect(await dueAt()).toEqual(first);
});

describe("what was given up and is taken all the same goes to a person", () => {
  test("given up while the bank did not answer, then captured", async () => {
    const { customerId: stranger } = await platform.sell();
    await platform.gateway("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    const activationId = await platform.request({ payer: stranger });
    expect(await platform.runJobs()).toBe(1);
    await platform.publish("serviceVoidRequested", { activationId });
    const { id } = await platform.paymentOf(activationId);
    await byHand(id, "capture");
    expect(await platform.retryJobs()).toBe(0);
    expect(await platform.paymentOf(activationId)).toMatchObject({ status: "captured", settlement: "void" });
    expect(tasksAbout(activationId)).toMatchObject([
      { kind: "paymentContradiction", detail: { amountCents: priceCents } },
    ]);
  });

  test("given up while it was presumed, then captured", async () => {
    await capture();
    await platform.gateway("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    const activationId = await platform.request();
    expect(await platform.runJobs()).toBe(0);
    const { id, status } = await platform.paymentOf(activationId);
    expect(status).toBe("presumed");
    await platform.publish("serviceVoidRequested", { activationId });
    await byHand(id, "capture", { amountCents: 500 });
    platform.clock.advanceMs(10_000);
    await platform.runTimers();
    expect(await platform.runJobs()).toBe(0);
    expect(await platform.paymentOf(activationId)).toMatchObject({ status: "captured", captured_cents: 500 });
    expect(tasksAbout(activationId)).toMatchObject([
      { kind: "paymentContradiction", detail: { amountCents: 500 } },
    ]);
  });

  test("captured by hand, and then nothing is delivered: a task, and with the money back it counts as not charged", async () => {
    const { activationId, id, gatewayPaymentId } = await hold();
    await byHand(id, "capture");
    await hearOf("payment_intent.succeeded", id, gatewayPaymentId);
    await platform.publish("serviceVoidRequested", { activationId });
    await platform.publish("serviceVoidRequested", { activationId });
    expect(await platform.runJobs()).toBe(0);
    expect(tasksAbout(activationId).map(({ kind }) => kind)).toEqual(["paymentContradiction"]);
    expect(platform.toldAbout(activationId)).not.toContain("servicePaymentVoided");
    const { support } = platform.staff;
    await support.post(`/api/payments/${id}/refunds`, { amountCents: priceCents, reason: "not delivered" });
    await platform.runJobs();
    expect((await platform.paymentOf(activationId)).status).toBe("refunded");
    expect(platform.toldAbout(activationId)).toContain("servicePaymentVoided");
  });

  test("a hold that is to be let go and is answered as declined is not charged, and the activation hears so", async () => {
    const { activationId, id, gatewayPaymentId } = await hold();
    await platform.gateway("PUT", "/_control/faults", { failNext: { count: 1, status: 503 } });
    await platform.publish("serviceVoidRequested", { activationId });
    expect(await platform.runJobs()).toBe(1);
    const answer = { status: "declined", gatewayPaymentId, reason: "expired_card" } as const;
    await platform.inTransaction((tx) => hearAnswers(platform.context, tx, [{ paymentId: id, answer }]));
    expect((await platform.paymentOf(activationId)).status).toBe("declined");
    expect(platform.toldAbout(activationId).slice(-1)).toEqual(["servicePaymentVoided"]);
    expect(await balancesOf(id)).toEqual({});
  });
});

describe("the gateway is down when the end of a hold is decided", () => {
  test.each([
    ["let go", "serviceVoidRequested", "serviceCaptureRequested", "voided"],
    ["taken", "serviceCaptureRequested", "serviceVoidRequested", "captured"],
  ] as const)(
    "decided to be %s: the opposite asked meanwhile changes nothing",
    async (_title, first, second, end) => {
      const { activationId, id } = await hold();
      await platform.gateway("PUT", "/_control/faults", { failNext: { count: 1, status: 503 } });
      await platform.publish(first, { activationId });
      expect(await platform.runJobs()).toBe(1);
      // Up again, and the opposite is the first to ask.
      await platform.publish(second, { activationId });
      expect(await platform.runJobs()).toBe(0);
      expect((await platform.paymentOf(activationId)).status).toBe("authorised");
      expect(await platform.retryJobs()).toBe(0);
      expect((await platform.paymentOf(activationId)).status).toBe(end);
      expect(await balancesOf(id)).toEqual(
        end === "voided" ? {} : { gatewayClearing: priceCents, serviceRevenue: -priceCents },
      );
    },
  );
});

describe("money that went back by two ways", () => {
  const dispute = (paymentId: string, status: GatewayDispute["status"], amountCents = priceCents) =>
    platform.inTransaction((tx) =>
      recordDispute(platform.context, tx, paymentId, {
        gatewayDisputeId: `dp_${paymentId}`,
        amountCents,
        reason: "fraudulent",
        status,
      }),
    );
  const refund = (paymentId: string, amountCents: number) =>
    platform.staff.support.post(`/api/payments/${paymentId}/refunds`, { amountCents, reason: "goodwill" });

  test("a charge-back won after the whole price was refunded: the customer has it, so it stays refunded", async () => {
    const { activationId, id } = await capture();
    await refund(id, priceCents);
    await platform.runJobs();
    await dispute(id, "open");
    expect((await platform.paymentOf(activationId)).status).toBe("chargedBack");
    await dispute(id, "won");
    expect((await platform.paymentOf(activationId)).status).toBe("refunded");
    expect(await balancesOf(id)).toEqual({ refunds: priceCents, serviceRevenue: -priceCents });
    expect((await refund(id, 1)).status).toBe(409);
  });

  test("a charge-back won after a part was refunded is paid again", async () => {
    const { activationId, id } = await capture();
    await refund(id, 500);
    await platform.runJobs();
    await dispute(id, "open", priceCents - 500);
    await dispute(id, "won", priceCents - 500);
    expect((await platform.paymentOf(activationId)).status).toBe("captured");
  });

  test("a refund that becomes whole while the bank has taken the money: a person shows the bank the refund", async () => {
    const { activationId, id } = await capture();
    await platform.gateway("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    await refund(id, priceCents);
    expect(await platform.runJobs()).toBe(1);
    await dispute(id, "open");
    expect(await platform.retryJobs()).toBe(0);
    expect((await platform.paymentOf(activationId)).status).toBe("chargedBack");
    expect(tasksAbout(activationId).map(({ kind }) => kind)).toEqual(["chargeBack", "givenBackTwice"]);
    await dispute(id, "won");
    expect((await platform.paymentOf(activationId)).status).toBe("refunded");
  });

  test("a dispute that is first heard of as won: the money is ours, and no service is withdrawn [FA5]", async () => {
    const { activationId, id } = await capture();
    await dispute(id, "won");
    expect((await platform.paymentOf(activationId)).status).toBe("captured");
    expect(await balancesOf(id)).toEqual({ gatewayClearing: priceCents, serviceRevenue: -priceCents });
    expect(platform.toldAbout(activationId)).not.toContain("servicePaymentChargedBack");
    expect(platform.toldAbout(activationId)).toContain("chargeBackWon");
  });

  test("what a bank has taken back cannot be refunded, and says so", async () => {
    const { id } = await capture();
    await dispute(id, "open");
    const asked = await refund(id, 100);
    expect([asked.status, asked.text("detail")]).toEqual([
      409,
      "this payment is chargedBack: there is nothing to give back",
    ]);
  });

  test("a refund whose answer is lost for longer than the gateway keeps keys is looked up: given back once", async () => {
    const { activationId, id } = await capture();
    await platform.gateway("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    await refund(id, 700);
    expect(await platform.runJobs()).toBe(1);
    platform.clock.advanceMs(2 * dayMs);
    expect(await platform.retryJobs()).toBe(0);
    expect(await platform.chargedAtGateway(id)).toMatchObject({ refundedCents: 700 });
    expect(await platform.paymentOf(activationId)).toMatchObject({ refunded_cents: 700, status: "captured" });
  });
});

test("a late message about a payment that has ended: a hold found then is let go", async () => {
  const card = `pm_${randomUUID().slice(0, 8)}`;
  await platform.gateway("PUT", `/_control/cards/${card}`, { behaviour: "decline" });
  const activationId = await platform.request({ paymentMethod: card });
  await platform.runJobs();
  const { id, status, gateway_payment_id: gatewayPaymentId } = await platform.paymentOf(activationId);
  expect(status).toBe("declined");
  // Somebody tries the card again in the gateway's own screens.
  await platform.gateway("PUT", `/_control/cards/${card}`, { behaviour: "approve" });
  const confirmed = await fetch(
    `${platform.standIn("gateway").url}/v1/payment_intents/${gatewayPaymentId}/confirm`,
    {
      method: "POST",
      headers: {
        authorization: `Bearer ${partnerApiKey}`,
        "content-type": "application/x-www-form-urlencoded",
      },
      body: new URLSearchParams({ payment_method: card }),
    },
  );
  expect(confirmed.status).toBe(200);
  await hearOf("payment_intent.amount_capturable_updated", id, gatewayPaymentId ?? "");
  expect((await platform.paymentOf(activationId)).status).toBe("declined");
  const atGateway = await platform.partners.gateway.retrieve(gatewayPaymentId ?? "");
  expect(atGateway.status).toBe("released");
});
