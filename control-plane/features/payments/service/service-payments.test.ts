import { randomUUID } from "node:crypto";
import { dayMs } from "@caas/contract/durations.ts";
import * as fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { GatewayPayment } from "../../../partners/payment-gateway.ts";
import { type ServicePayments, startServicePayments } from "../../../testing/fixtures/service-payments.ts";
import { hearAnswers } from "../hear.ts";

const priceCents = 1_499;

let platform: ServicePayments;
beforeAll(async () => {
  platform = await startServicePayments("service_payments", priceCents);
});
afterAll(() => platform?.close());
afterEach(() => platform.gateway("DELETE", "/_control/faults"));

async function balancesOf(paymentId: string): Promise<Record<string, number>> {
  const rows = await platform.db
    .selectFrom("ledger_postings")
    .innerJoin("ledger_transactions", "ledger_transactions.id", "transaction_id")
    .where("payment_id", "=", paymentId)
    .groupBy("account")
    .select((select) => ["account", select.fn.sum<string>("amount_cents").as("cents")])
    .execute();
  return Object.fromEntries(rows.map((row) => [row.account, Number(row.cents)]));
}

describe("a service is paid by a hold first [AU14, DA14]", () => {
  test("a good card is held for as long as the gateway says, and nothing is taken [SA6]", async () => {
    const activationId = await platform.request();
    expect(await platform.runJobs()).toBe(0);
    const payment = await platform.paymentOf(activationId);
    expect(payment).toMatchObject({
      status: "authorised",
      capture_before: new Date(platform.clock.now().getTime() + 7 * dayMs),
    });
    expect(await platform.chargedAtGateway(payment.id)).toMatchObject({
      heldCents: priceCents,
      capturedCents: 0,
    });
    expect(await balancesOf(payment.id)).toEqual({ cardHolds: priceCents, cardHoldsContra: -priceCents });
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentAuthorised"]);
  });

  test("a declined card ends it; no hold, no money [SA7]", async () => {
    const activationId = await platform.request({ paymentMethod: "pm_card_chargeDeclined" });
    await platform.runJobs();
    const payment = await platform.paymentOf(activationId);
    expect(payment).toMatchObject({ status: "declined", decline_reason: "generic_decline" });
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentDeclined"]);
    expect(await balancesOf(payment.id)).toEqual({});
  });

  test("an unknown card ends it in the same way", async () => {
    const activationId = await platform.request({ paymentMethod: "pm_card_vsia" });
    expect(await platform.runJobs()).toBe(0);
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentDeclined"]);
  });

  test("a gateway that times out though it held is asked by our reference: one hold [fault 24]", async () => {
    await platform.gateway("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    const activationId = await platform.request();
    expect(await platform.runJobs()).toBe(1);
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentAwaited"]);
    expect(await platform.retryJobs()).toBe(0);
    const payment = await platform.paymentOf(activationId);
    expect(await platform.chargedAtGateway(payment.id)).toMatchObject({ intents: 1, heldCents: priceCents });
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentAwaited", "servicePaymentAuthorised"]);
  });
});

describe("the car's proof takes the money", () => {
  test("captured once, however often it is asked, and told as a successful payment", async () => {
    const activationId = await platform.request();
    await platform.runJobs();
    await platform.publish("serviceCaptureRequested", { activationId });
    await platform.publish("serviceCaptureRequested", { activationId });
    expect(await platform.runJobs()).toBe(0);
    const payment = await platform.paymentOf(activationId);
    expect(payment).toMatchObject({ status: "captured", settled_at: platform.clock.now() });
    expect(await platform.chargedAtGateway(payment.id)).toMatchObject({
      heldCents: 0,
      capturedCents: priceCents,
    });
    expect(await balancesOf(payment.id)).toEqual({
      cardHolds: 0,
      cardHoldsContra: 0,
      gatewayClearing: priceCents,
      serviceRevenue: -priceCents,
    });
    expect(platform.toldAbout(activationId)).toEqual([
      "servicePaymentAuthorised",
      "NT5",
      "servicePaymentCaptured",
    ]);
  });

  test("a capture whose answer is lost is done once", async () => {
    const activationId = await platform.request();
    await platform.runJobs();
    await platform.gateway("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    await platform.publish("serviceCaptureRequested", { activationId });
    expect(await platform.runJobs()).toBe(1);
    expect(await platform.retryJobs()).toBe(0);
    const payment = await platform.paymentOf(activationId);
    expect(payment.status).toBe("captured");
    expect(await platform.chargedAtGateway(payment.id)).toMatchObject({ capturedCents: priceCents });
  });

  test("a bank that refuses what it had held leaves no false receipt and no hold: support is called, and the service is to be withdrawn", async () => {
    const card = `pm_${randomUUID().slice(0, 8)}`;
    await platform.gateway("PUT", `/_control/cards/${card}`, { behaviour: "declineCapture" });
    const activationId = await platform.request({ paymentMethod: card });
    await platform.runJobs();
    await platform.publish("serviceCaptureRequested", { activationId });
    expect(await platform.runJobs()).toBe(0);
    const payment = await platform.paymentOf(activationId);
    expect(payment.status).toBe("declined");
    expect(await balancesOf(payment.id)).toEqual({ cardHolds: 0, cardHoldsContra: 0 });
    expect(await platform.chargedAtGateway(payment.id)).toMatchObject({ heldCents: 0, capturedCents: 0 });
    expect(platform.toldAbout(activationId)).toEqual([
      "servicePaymentAuthorised",
      "captureFailed",
      "servicePaymentLost",
    ]);
  });

  test("a hold that has lapsed before the proof cannot be taken: support is called, and the service is to be withdrawn", async () => {
    const activationId = await platform.request();
    await platform.runJobs();
    platform.clock.advanceMs(7 * dayMs + 1_000);
    await platform.publish("serviceCaptureRequested", { activationId });
    expect(await platform.runJobs()).toBe(0);
    expect((await platform.paymentOf(activationId)).status).toBe("voided");
    expect(platform.toldAbout(activationId)).toEqual([
      "servicePaymentAuthorised",
      "captureFailed",
      "servicePaymentLost",
    ]);
  });
});

describe("support gives money back over REST [fault 27]", () => {
  test("once for each intent, and never more than is left", async () => {
    const activationId = await platform.request();
    await platform.runJobs();
    await platform.publish("serviceCaptureRequested", { activationId });
    await platform.runJobs();
    const { id } = await platform.paymentOf(activationId);
    const { support } = platform.staff;
    const give = (amountCents: number, key?: string) =>
      support.post(`/api/payments/${id}/refunds`, { amountCents, reason: "goodwill" }, key);
    const [first, again] = await Promise.all([give(1_000, "refund-1"), give(1_000, "refund-1")]);
    expect([first.status, again.status, again.text("id")]).toEqual([202, 202, first.text("id")]);
    const tooMuch = await give(500);
    expect([tooMuch.status, tooMuch.text("detail")]).toEqual([
      409,
      "only 499 cents of this payment are left to give back",
    ]);
    await platform.runJobs();
    expect(await platform.chargedAtGateway(id)).toMatchObject({
      capturedCents: priceCents,
      refundedCents: 1_000,
    });
    const read = await support.get(`/api/payments/${id}`);
    expect(read.body).toMatchObject({ status: "captured", refundedCents: 1_000 });
    const ledger = await support.get(`/api/payments/${id}/ledger`);
    expect(JSON.stringify(ledger.body)).toContain('"kind":"paymentRefunded"');
  });
});

describe("nothing delivered, nothing charged [SA15, FA7]", () => {
  test("a hold is let go, and the activation is told", async () => {
    const activationId = await platform.request();
    await platform.runJobs();
    await platform.publish("serviceVoidRequested", { activationId });
    await platform.runJobs();
    const payment = await platform.paymentOf(activationId);
    expect(payment.status).toBe("voided");
    expect(await platform.chargedAtGateway(payment.id)).toMatchObject({ heldCents: 0, capturedCents: 0 });
    expect(await balancesOf(payment.id)).toEqual({ cardHolds: 0, cardHoldsContra: 0 });
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentAuthorised", "servicePaymentVoided"]);
  });

  test("where no payment was ever asked for there is nothing to let go", async () => {
    const activationId = randomUUID();
    await platform.publish("serviceVoidRequested", { activationId });
    await platform.runJobs();
    expect(platform.published.at(-1)).toEqual({
      name: "servicePaymentVoided",
      event: { activationId, paymentId: null },
    });
  });

  test("given up while the bank is being asked: what it held meanwhile is let go, and never announced", async () => {
    const { customerId: stranger } = await platform.sell();
    await platform.gateway("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    const activationId = await platform.request({ payer: stranger });
    expect(await platform.runJobs()).toBe(1);
    await platform.publish("serviceVoidRequested", { activationId });
    await platform.runJobs();
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentAwaited"]);
    expect(await platform.retryJobs()).toBe(0);
    const payment = await platform.paymentOf(activationId);
    expect(payment.status).toBe("voided");
    expect(await platform.chargedAtGateway(payment.id)).toMatchObject({
      intents: 1,
      heldCents: 0,
      capturedCents: 0,
    });
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentAwaited", "servicePaymentVoided"]);
  });

  test("a payment declined before is confirmed as not charged", async () => {
    const activationId = await platform.request({ paymentMethod: "pm_card_chargeDeclined" });
    await platform.runJobs();
    await platform.publish("serviceVoidRequested", { activationId });
    await platform.runJobs();
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentDeclined", "servicePaymentVoided"]);
  });
});

describe("proof and cancellation at the same moment [fault 26]", () => {
  test.each(["serviceCaptureRequested", "serviceVoidRequested"] as const)(
    "the first (%s) decides; the second leaves the money alone",
    async (first) => {
      const second = first === "serviceCaptureRequested" ? "serviceVoidRequested" : "serviceCaptureRequested";
      const activationId = await platform.request();
      await platform.runJobs();
      await platform.publish(first, { activationId });
      await platform.runJobs();
      await platform.publish(second, { activationId });
      await platform.runJobs();
      const isCaptured = first === "serviceCaptureRequested";
      const payment = await platform.paymentOf(activationId);
      expect(payment.status).toBe(isCaptured ? "captured" : "voided");
      expect(await platform.chargedAtGateway(payment.id)).toMatchObject({
        capturedCents: isCaptured ? priceCents : 0,
      });
    },
  );

  test("ten pairs at once: each ends taken or let go, never both, and the ledger agrees with the gateway", async () => {
    const ids = await Promise.all(Array.from({ length: 10 }, () => platform.request()));
    await platform.runJobs();
    await Promise.all(
      ids.flatMap((activationId) => [
        platform.publish("serviceCaptureRequested", { activationId }),
        platform.publish("serviceVoidRequested", { activationId }),
      ]),
    );
    await Promise.all([platform.runJobs(), platform.runJobs()]);
    for (const activationId of ids) {
      const payment = await platform.paymentOf(activationId);
      expect(["captured", "voided"]).toContain(payment.status);
      const takenCents = payment.status === "captured" ? priceCents : 0;
      expect(await platform.chargedAtGateway(payment.id)).toMatchObject({
        heldCents: 0,
        capturedCents: takenCents,
      });
      expect((await balancesOf(payment.id)).gatewayClearing ?? 0).toBe(takenCents);
    }
  });
});

describe("any answers of the gateway, in any order and any number", () => {
  const gatewayPaymentId = "pi_of_the_property";
  const outcome = fc.constantFrom<GatewayPayment>(
    { status: "held", gatewayPaymentId, captureBefore: new Date("2026-04-01T00:00:00Z") },
    { status: "captured", gatewayPaymentId, capturedCents: priceCents },
    { status: "captured", gatewayPaymentId, capturedCents: 499 },
    { status: "released", gatewayPaymentId },
    { status: "declined", gatewayPaymentId, reason: "generic_decline" },
    { status: "invalid", reason: "unknownPaymentMethod" },
  );

  test("the ledger sums to zero, holds are seen exactly while they stand, and money exactly when it is captured", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(outcome, { minLength: 1, maxLength: 6 }),
        fc.constantFrom(null, "capture" as const, "void" as const),
        fc.boolean(),
        async (outcomes, settlement, together) => {
          const activationId = await platform.request();
          const payment = await platform.paymentOf(activationId);
          // Each run its own intent at the gateway.
          const own = outcomes.map((each) =>
            "gatewayPaymentId" in each ? { ...each, gatewayPaymentId: `pi_${payment.id}` } : each,
          );
          await platform.db
            .updateTable("payments")
            .set({ settlement })
            .where("id", "=", payment.id)
            .execute();
          const answers = own.map((answer) => ({ paymentId: payment.id, answer }));
          // In one list, the later ones are judged by what the earlier ones have left.
          for (const list of together ? [answers] : answers.map((each) => [each]))
            await platform.db.transaction().execute((tx) => hearAnswers(platform.context, tx, list));
          const { status, captured_cents: capturedCents } = await platform.paymentOf(activationId);
          const takenCents = status === "captured" ? (capturedCents ?? 0) : 0;
          const balances = await balancesOf(payment.id);
          expect(Object.values(balances).reduce((sum, cents) => sum + cents, 0)).toBe(0);
          expect(balances.cardHolds ?? 0).toBe(status === "authorised" ? priceCents : 0);
          expect(balances.gatewayClearing ?? 0).toBe(takenCents);
          expect(balances.serviceRevenue ?? 0).toBe(takenCents === 0 ? 0 : -takenCents);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("answers about many payments in one list have each its own effects", async () => {
    const captureBefore = new Date("2026-04-01T00:00:00Z");
    const expected = [
      [{ status: "held", captureBefore }, "authorised", ["servicePaymentAuthorised"], priceCents, 0],
      [
        { status: "captured", capturedCents: priceCents },
        "captured",
        ["NT5", "servicePaymentCaptured"],
        0,
        priceCents,
      ],
      [{ status: "declined", reason: "generic_decline" }, "declined", ["servicePaymentDeclined"], 0, 0],
      [{ status: "held", captureBefore }, "authorised", ["servicePaymentAuthorised"], priceCents, 0],
      [{ status: "invalid", reason: "unknownPaymentMethod" }, "declined", ["servicePaymentDeclined"], 0, 0],
    ] as const;
    const activationIds = await Promise.all(expected.map(() => platform.request()));
    const payments = await Promise.all(activationIds.map(platform.paymentOf));
    const answers = expected.flatMap(([answer], index) => {
      const paymentId = payments[index]?.id ?? "";
      return [{ paymentId, answer: { ...answer, gatewayPaymentId: `pi_${paymentId}` } }];
    });
    await platform.db.transaction().execute((tx) => hearAnswers(platform.context, tx, answers));
    for (const [index, [, status, told, heldCents, takenCents]] of expected.entries()) {
      const activationId = activationIds[index] ?? "";
      const payment = await platform.paymentOf(activationId);
      const balances = await balancesOf(payment.id);
      expect([payment.status, platform.toldAbout(activationId)]).toEqual([status, told]);
      expect([balances.cardHolds ?? 0, balances.gatewayClearing ?? 0]).toEqual([heldCents, takenCents]);
    }
  });

  test("PostgreSQL itself refuses a posting that does not balance, and any change to one that stands", async () => {
    const unbalanced = platform.db.transaction().execute(async (tx) => {
      const payment = await tx.selectFrom("payments").select("id").limit(1).executeTakeFirstOrThrow();
      const id = randomUUID();
      await tx
        .insertInto("ledger_transactions")
        .values({ id, payment_id: payment.id, kind: "test", at: platform.clock.now() })
        .execute();
      await tx
        .insertInto("ledger_postings")
        .values({ transaction_id: id, account: "cashDesk", amount_cents: 1, currency: "EUR" })
        .execute();
    });
    await expect(unbalanced).rejects.toThrow("does not sum to zero");
    await expect(
      platform.db.updateTable("ledger_postings").set({ amount_cents: 1 }).execute(),
    ).rejects.toThrow("append-only");
  });
});
