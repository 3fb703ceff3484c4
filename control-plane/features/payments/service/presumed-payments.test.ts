import { randomUUID } from "node:crypto";
import { hourMs } from "@caas/contract/durations.ts";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { DomainEventName, DomainEvents } from "../../../lifecycle/events.ts";
import type { GatewayPayment } from "../../../partners/payment-gateway.ts";
import {
  defaultPresumptionLimits,
  gatewaySilenceMs,
  lastAskMarginMs,
  type PresumptionLimits,
  reconcileWithinMs,
  searchSettlesAfterMs,
} from "../../../rules/presumption-policy.ts";
import { heardOfPayments, startTestSales, type TestSales } from "../../../testing/fixtures/sales.ts";
import { hearAnswers } from "../hear.ts";
import { readExposure } from "./exposure.ts";
import { presumePayment } from "./presume.ts";
import { lookUpTimer } from "./presumptions.ts";

const priceCents = 1_499;

let platform: TestSales;
beforeAll(async () => {
  platform = await startTestSales({
    name: "presumed_payments",
    standIns: ["gateway", "factory"],
    unheard: heardOfPayments,
  });
  // Only look-ups find the truth here: a message's own question would meet the fault that is meant for another call.
  await platform.gateway("PUT", "/_control/webhooks", { baseUrl: "http://127.0.0.1:1" });
});
afterAll(() => platform.close());

/** A customer who has paid one service by card, so that the bank is known to pay. */
let customerId: string;
beforeEach(async () => {
  customerId = (await platform.sell()).customerId;
  const first = await request();
  await platform.runJobs();
  await publish("serviceCaptureRequested", { activationId: first });
  await platform.runJobs();
});
afterEach(() => platform.gateway("DELETE", "/_control/faults"));

async function publish<Name extends DomainEventName>(name: Name, event: DomainEvents[Name]): Promise<void> {
  await platform.db.transaction().execute((tx) => platform.context.publish(tx, name, [event]));
}

async function request(
  more: { paymentMethod?: string; payer?: string; amountCents?: number } = {},
): Promise<string> {
  const activationId = randomUUID();
  await publish("servicePaymentRequested", {
    activationId,
    customerId: more.payer ?? customerId,
    amountCents: more.amountCents ?? priceCents,
    currency: "EUR",
    paymentMethod: more.paymentMethod ?? "pm_card_visa",
  });
  return activationId;
}

/** The next call is never answered; whether the gateway does what it is asked is `did`. */
async function timeOutNext(did: "charged" | "notCharged"): Promise<void> {
  const fault = did === "charged" ? "timeOutAfterDoingNext" : "timeOutBeforeDoingNext";
  await platform.gateway("PUT", "/_control/faults", { [fault]: { count: 1 } });
}

async function presume(did: "charged" | "notCharged", paymentMethod = "pm_card_visa"): Promise<string> {
  await timeOutNext(did);
  const activationId = await request({ paymentMethod });
  expect(await platform.runJobs()).toBe(0);
  expect(await paymentOf(activationId)).toMatchObject({ status: "presumed", gateway_payment_id: null });
  return activationId;
}

async function lookUpAfter(ms: number): Promise<void> {
  platform.clock.advanceMs(ms);
  await platform.runTimers();
  expect(await platform.runJobs()).toBe(0);
}

async function paymentOf(activationId: string) {
  return platform.db
    .selectFrom("payments")
    .where("activation_id", "=", activationId)
    .selectAll()
    .executeTakeFirstOrThrow();
}

async function presumptionOf(activationId: string) {
  const { id } = await paymentOf(activationId);
  return platform.db
    .selectFrom("presumptions")
    .where("payment_id", "=", id)
    .select(["outcome", "reason"])
    .executeTakeFirst();
}

async function openCents() {
  const { customerOpenCents } = await readExposure(platform.db, customerId);
  return customerOpenCents;
}

function toldAbout(activationId: string): string[] {
  return platform.published.flatMap(({ name, event }) =>
    name !== "servicePaymentRequested" &&
    name !== "serviceCaptureRequested" &&
    name !== "serviceVoidRequested" &&
    "activationId" in event &&
    event.activationId === activationId
      ? [name]
      : [],
  );
}

async function atGateway(activationId: string) {
  const { id } = await paymentOf(activationId);
  const answer = await platform.gateway("GET", "/_control/charges");
  const totals = answer !== null && typeof answer === "object" && "totals" in answer ? answer.totals : [];
  if (!Array.isArray(totals)) throw new Error("the gateway gave no totals");
  return totals.find((total) => total.reference === id) ?? { intents: 0, heldCents: 0, capturedCents: 0 };
}

async function balancesOf(activationId: string): Promise<Record<string, number>> {
  const { id } = await paymentOf(activationId);
  const rows = await platform.db
    .selectFrom("ledger_postings")
    .innerJoin("ledger_transactions", "ledger_transactions.id", "transaction_id")
    .where("payment_id", "=", id)
    .groupBy("account")
    .select((select) => ["account", select.fn.sum<string>("amount_cents").as("cents")])
    .execute();
  return Object.fromEntries(
    rows.flatMap((row) => (Number(row.cents) === 0 ? [] : [[row.account, Number(row.cents)]])),
  );
}

describe("the gateway does not answer the payment of a service [FA4, fault 24]", () => {
  test.each(["charged", "notCharged"] as const)(
    "it is presumed, whether the gateway did it or not (%s), and the exposure and the memo show it",
    async (did) => {
      const activationId = await presume(did);
      expect(toldAbout(activationId)).toEqual(["servicePaymentPresumed"]);
      expect(await openCents()).toBe(priceCents);
      expect(await balancesOf(activationId)).toEqual({
        presumedPayments: priceCents,
        presumedPaymentsContra: -priceCents,
      });
      expect(await atGateway(activationId)).toMatchObject({ intents: did === "charged" ? 1 : 0 });
      await lookUpAfter(10_000);
    },
  );

  test.each([
    ["a customer who never paid by card", { stranger: true }, "PP3"],
    ["a price above the limit", { amountCents: 5_001 }, "PP5"],
  ] as const)("%s waits: nothing is delivered, and the job asks again", async (_title, who, rule) => {
    const payer = "stranger" in who ? (await platform.sell()).customerId : customerId;
    await timeOutNext("charged");
    const activationId = await request({ payer, ...("amountCents" in who ? who : {}) });
    expect(await platform.runJobs()).toBe(1);
    expect(await paymentOf(activationId)).toMatchObject({ status: "pending", waits_because: rule });
    expect(toldAbout(activationId)).toEqual(["servicePaymentAwaited"]);
    expect(await openCents()).toBe(0);
    expect(await platform.retryJobs()).toBe(0);
    expect(toldAbout(activationId)).toEqual(["servicePaymentAwaited", "servicePaymentAuthorised"]);
    expect(await atGateway(activationId)).toMatchObject({ intents: 1 });
  });

  test("the reason why a payment waits is told once, however often the gateway is asked in vain", async () => {
    const payer = (await platform.sell()).customerId;
    await platform.gateway("PUT", "/_control/faults", { timeOutBeforeDoingNext: { count: 3 } });
    const activationId = await request({ payer });
    expect([await platform.runJobs(), await platform.retryJobs(), await platform.retryJobs()]).toEqual([
      1, 1, 1,
    ]);
    expect(toldAbout(activationId)).toEqual(["servicePaymentAwaited"]);
  });

  test("the reservation and the final payment wait for certainty, no matter which customer pays [LF5]", async () => {
    const car = await platform.sell();
    await timeOutNext("charged");
    await car.customer.post(`/api/expedientes/${car.expedienteId}/reservation-payment`, {
      paymentMethod: "pm_card_visa",
    });
    expect(await platform.runJobs()).toBe(1);
    const payment = await platform.db
      .selectFrom("payments")
      .where("expediente_id", "=", car.expedienteId)
      .select(["status", "waits_because"])
      .executeTakeFirstOrThrow();
    expect(payment).toEqual({ status: "pending", waits_because: "PP1" });
    expect(await platform.retryJobs()).toBe(0);
  });
});

describe("50 purchases at the same moment, none of them answered [fault 24]", () => {
  const fits = 7;
  const limits = { ...defaultPresumptionLimits, totalCapCents: 1_000_000 };

  async function presumeTogether(activationIds: readonly string[], caps: PresumptionLimits): Promise<number> {
    const payments = await Promise.all(activationIds.map(paymentOf));
    const verdicts = await Promise.all(
      payments.map(({ id }) =>
        platform.db.transaction().execute((tx) => presumePayment(platform.context, tx, caps, id)),
      ),
    );
    return verdicts.filter((verdict) => verdict === "presumed").length;
  }

  /** So that the payments stay unanswered: their jobs never run. */
  async function requestMany(payers: readonly string[]): Promise<string[]> {
    const activationIds: string[] = [];
    for (const payer of payers) activationIds.push(await request({ payer }));
    await platform.db.deleteFrom("jobs").execute();
    return activationIds;
  }

  test("of one customer: exactly as many are presumed as the cap holds, the others wait for the same reason", async () => {
    const activationIds = await requestMany(Array.from({ length: 50 }, () => customerId));
    const caps = { ...limits, customerCapCents: fits * priceCents + priceCents - 1 };
    expect(await presumeTogether(activationIds, caps)).toBe(fits);
    expect(await openCents()).toBe(fits * priceCents);
    const payments = await Promise.all(activationIds.map(paymentOf));
    expect(payments.filter(({ waits_because }) => waits_because === "PP6")).toHaveLength(50 - fits);
    const told = activationIds.flatMap(toldAbout);
    expect(told.filter((name) => name === "servicePaymentPresumed")).toHaveLength(fits);
    for (const payment of payments.filter(({ status }) => status === "presumed"))
      await platform.db.transaction().execute((tx) =>
        hearAnswers(platform.context, tx, [
          {
            paymentId: payment.id,
            answer: { status: "declined", gatewayPaymentId: null, reason: "neverMade" },
          },
        ]),
      );
    expect(await openCents()).toBe(0);
  });
});

describe("the truth is found out [FA5]", () => {
  test.each(["charged", "notCharged"] as const)(
    "%s: the first look-up confirms it, with one hold, and gives the exposure back",
    async (did) => {
      const activationId = await presume(did);
      await lookUpAfter(9_999);
      expect(await presumptionOf(activationId)).toMatchObject({ outcome: "open" });
      await lookUpAfter(1);
      expect(await presumptionOf(activationId)).toEqual({ outcome: "confirmed", reason: null });
      expect((await paymentOf(activationId)).status).toBe("authorised");
      expect(await atGateway(activationId)).toMatchObject({ intents: 1, heldCents: priceCents });
      expect(await openCents()).toBe(0);
      expect(toldAbout(activationId)).toEqual(["servicePaymentPresumed", "servicePaymentConfirmed"]);
      expect(await balancesOf(activationId)).toEqual({ cardHolds: priceCents, cardHoldsContra: -priceCents });
    },
  );

  test("proved by the car before it is known: the money is taken as soon as it is, once", async () => {
    const activationId = await presume("charged");
    await publish("serviceCaptureRequested", { activationId });
    await publish("serviceCaptureRequested", { activationId });
    expect(await platform.runJobs()).toBe(0);
    expect((await paymentOf(activationId)).status).toBe("presumed");
    expect(await atGateway(activationId)).toMatchObject({ capturedCents: 0 });
    await lookUpAfter(10_000);
    expect((await paymentOf(activationId)).status).toBe("captured");
    expect(await atGateway(activationId)).toMatchObject({
      intents: 1,
      heldCents: 0,
      capturedCents: priceCents,
    });
    expect(await openCents()).toBe(0);
    expect(toldAbout(activationId)).toEqual([
      "servicePaymentPresumed",
      "servicePaymentConfirmed",
      "servicePaymentCaptured",
    ]);
  });

  test("declined: it is taken back, with the bank's reason, and nothing was taken", async () => {
    const activationId = await presume("notCharged", "pm_card_chargeDeclined");
    await publish("serviceCaptureRequested", { activationId });
    // Decided before the truth is found: the other order is another case.
    await platform.runJobs();
    await lookUpAfter(10_000);
    expect(await presumptionOf(activationId)).toEqual({ outcome: "compensated", reason: "generic_decline" });
    expect(await paymentOf(activationId)).toMatchObject({
      status: "declined",
      decline_reason: "generic_decline",
    });
    expect(await openCents()).toBe(0);
    expect(await balancesOf(activationId)).toEqual({});
    expect(toldAbout(activationId)).toEqual(["servicePaymentPresumed", "servicePaymentRefuted"]);
    // Known: nobody looks any more.
    const lookUps = platform.db.selectFrom("timers").where("kind", "=", lookUpTimer).select("subject_id");
    expect(await lookUps.execute()).toEqual([]);
  });

  test("not there in the last hour, it is not asked for again; not there at the deadline, it was never made", async () => {
    const activationId = await presume("notCharged");
    await platform.gateway("PUT", "/_control/faults", { failNext: { count: 1, status: 503 } });
    await lookUpAfter(reconcileWithinMs - lastAskMarginMs);
    expect(await presumptionOf(activationId)).toMatchObject({ outcome: "open" });
    await lookUpAfter(lastAskMarginMs - 1);
    expect(await presumptionOf(activationId)).toMatchObject({ outcome: "open" });
    expect(await atGateway(activationId)).toMatchObject({ intents: 0 });
    await lookUpAfter(1);
    expect(await presumptionOf(activationId)).toEqual({ outcome: "compensated", reason: "neverMade" });
    expect(await atGateway(activationId)).toMatchObject({ intents: 0 });
    expect(await openCents()).toBe(0);
  });

  test("found at the deadline by its activation, though somebody changed its reference at the gateway", async () => {
    const activationId = await presume("notCharged");
    await platform.partners.gateway.pay({
      reference: "changed by hand",
      amountCents: priceCents,
      currency: "EUR",
      paymentMethod: "pm_card_visa",
      mode: "hold",
      customer: null,
      returnUrl: "https://app.example",
      description: "the same payment",
      metadata: { kind: "service", customer: customerId, activation: activationId },
    });
    await lookUpAfter(reconcileWithinMs);
    expect(await presumptionOf(activationId)).toEqual({ outcome: "confirmed", reason: null });
  });

  test("a gateway that stays down leaves it open beyond its deadline, and is asked hourly until it is back", async () => {
    const activationId = await presume("charged");
    await platform.gateway("PUT", "/_control/faults", { failNext: { count: 1_000, status: 503 } });
    await lookUpAfter(reconcileWithinMs);
    await lookUpAfter(hourMs);
    expect(await presumptionOf(activationId)).toMatchObject({ outcome: "open" });
    expect(await openCents()).toBe(priceCents);
    await platform.gateway("DELETE", "/_control/faults");
    await lookUpAfter(hourMs);
    expect(await presumptionOf(activationId)).toMatchObject({ outcome: "confirmed" });
  });

  test("while the gateway is silent one look-up finds it out for all, so that other jobs need not wait", async () => {
    const activationIds = [await presume("charged"), await presume("charged"), await presume("charged")];
    await platform.gateway("PUT", "/_control/faults", { failNext: { count: 1, status: 503 } });
    await lookUpAfter(10_000);
    // The first was not answered; the others, which would have been, did not ask.
    const outcomes = async () =>
      (await Promise.all(activationIds.map(presumptionOf))).map((presumption) => presumption?.outcome);
    expect(await outcomes()).toEqual(["open", "open", "open"]);
    await lookUpAfter(gatewaySilenceMs);
    expect(await outcomes()).toEqual(["confirmed", "confirmed", "confirmed"]);
  });

  test("given up while it is presumed: the hold found later is let go, and nobody is told of it", async () => {
    const activationId = await presume("charged");
    await publish("serviceVoidRequested", { activationId });
    await platform.runJobs();
    await lookUpAfter(10_000);
    expect((await paymentOf(activationId)).status).toBe("voided");
    expect(await atGateway(activationId)).toMatchObject({ intents: 1, heldCents: 0, capturedCents: 0 });
    expect(toldAbout(activationId)).toEqual(["servicePaymentPresumed", "servicePaymentVoided"]);
    expect([await openCents(), await balancesOf(activationId)]).toEqual([0, {}]);
  });

  test("given up, and the gateway knows of nothing: no money is held for it any more, and it is soon decided", async () => {
    const activationId = await presume("notCharged");
    await publish("serviceVoidRequested", { activationId });
    await platform.runJobs();
    await lookUpAfter(searchSettlesAfterMs - 1);
    expect(await presumptionOf(activationId)).toMatchObject({ outcome: "open" });
    await lookUpAfter(searchSettlesAfterMs);
    expect(await presumptionOf(activationId)).toEqual({ outcome: "dropped", reason: "neverMade" });
    expect(await atGateway(activationId)).toMatchObject({ intents: 0 });
    expect(await openCents()).toBe(0);
    expect(toldAbout(activationId)).toEqual(["servicePaymentPresumed", "servicePaymentVoided"]);
  });

  test("two answers at the same moment settle it once and give the exposure back once", async () => {
    const activationId = await presume("charged");
    const { id } = await paymentOf(activationId);
    const gatewayPaymentId = `pi_${id}`;
    const captureBefore = new Date(platform.clock.now().getTime() + 7 * reconcileWithinMs);
    await Promise.all(
      Array.from({ length: 8 }, () =>
        platform.db
          .transaction()
          .execute((tx) =>
            hearAnswers(platform.context, tx, [
              { paymentId: id, answer: { status: "held", gatewayPaymentId, captureBefore } },
            ]),
          ),
      ),
    );
    expect(await openCents()).toBe(0);
    expect(toldAbout(activationId)).toEqual(["servicePaymentPresumed", "servicePaymentConfirmed"]);
  });

  test("a hold that turns up after it was called nonexistent is let go", async () => {
    const activationId = await presume("charged");
    const { id } = await paymentOf(activationId);
    const release = (answer: GatewayPayment) =>
      platform.db
        .transaction()
        .execute((tx) => hearAnswers(platform.context, tx, [{ paymentId: id, answer }]));
    await release({ status: "declined", gatewayPaymentId: null, reason: "neverMade" });
    const answer = await platform.gateway("GET", "/_control/store");
    const intents =
      answer !== null && typeof answer === "object" && "paymentIntents" in answer
        ? answer.paymentIntents
        : [];
    if (!Array.isArray(intents)) throw new Error("the gateway holds no intents");
    const stray = intents.find((intent) => intent.metadata.reference === id);
    await release({ status: "held", gatewayPaymentId: stray.id, captureBefore: new Date() });
    expect(await platform.runJobs()).toBe(0);
    expect(await atGateway(activationId)).toMatchObject({ heldCents: 0, capturedCents: 0 });
    expect(toldAbout(activationId)).toEqual(["servicePaymentPresumed", "servicePaymentRefuted"]);
  });
});
