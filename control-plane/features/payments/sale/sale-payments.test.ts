import { randomUUID } from "node:crypto";
import { hourMs } from "@caas/contract/durations.ts";
import { sql } from "kysely";
import Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { messageTries } from "../../../http/webhook-messages.ts";
import { readTaken } from "../../../testing/fixtures/gateway-books.ts";
import { type SoldCar, startTestSales, type TestSales } from "../../../testing/fixtures/sales.ts";
import { gatewayEventSchema, handleGatewayEvents } from "../gateway-webhook.ts";

const reservationCents = 50_000;
const finalCents = 3_149_000;

let platform: TestSales;
beforeAll(async () => {
  platform = await startTestSales({
    name: "payments",
    standIns: ["gateway", "factory"],
    factoryPace: { mode: "auto", milestoneDelayMs: 0 },
    // What follows the final payment is registration's.
    unheard: ["finalPaymentReceived"],
  });
});
afterAll(() => platform.close());
afterEach(() => platform.gateway("DELETE", "/_control/faults"));

const reservationOf = (car: SoldCar) => `/api/expedientes/${car.expedienteId}/reservation-payment`;
const finalOf = (car: SoldCar) => `/api/expedientes/${car.expedienteId}/final-payment`;
const visa = { paymentMethod: "pm_card_visa" };
const declined = { paymentMethod: "pm_card_chargeDeclinedInsufficientFunds" };

const chargedAtGateway = (paymentId: string) => readTaken(platform.gateway, paymentId);

async function paymentsOf(car: SoldCar) {
  return platform.db
    .selectFrom("payments")
    .where("expediente_id", "=", car.expedienteId)
    .orderBy("id")
    .selectAll()
    .execute();
}

async function ledgerOf(paymentId: string) {
  return (await platform.staff.support.get(`/api/payments/${paymentId}/ledger`)).body;
}

async function lastSteps(car: SoldCar, count: number) {
  const rows = await platform.db
    .selectFrom("steps")
    .where("vehicle_id", "=", car.vehicleId)
    .orderBy("id", "desc")
    .limit(count)
    .selectAll()
    .execute();
  return rows.toReversed();
}

function publishedFor(car: SoldCar, name: string): unknown[] {
  return platform.published.flatMap((each) =>
    each.name === name && JSON.stringify(each.event).includes(car.expedienteId) ? [each.event] : [],
  );
}

describe("the reservation [DO4, DA4]", () => {
  test("the customer pays it by card with the mailed credentials; it reaches billing and ledger [LF1, SY4, SY11, DA20, DA22]", async () => {
    const car = await platform.sell();
    const asked = await car.customer.post(reservationOf(car), visa);
    expect(asked).toMatchObject({
      status: 202,
      body: { kind: "reservation", amountCents: reservationCents, method: "card", status: "pending" },
    });
    expect(await platform.runJobs()).toBe(0);
    const paymentId = asked.text("id");
    expect((await car.customer.get(`/api/payments/${paymentId}`)).body).toMatchObject({
      status: "captured",
      settledAt: platform.clock.now().toISOString(),
    });
    expect(await chargedAtGateway(paymentId)).toMatchObject({ capturedCents: reservationCents, intents: 1 });
    expect(await ledgerOf(paymentId)).toMatchObject({
      transactions: [
        {
          kind: "depositReceived",
          postings: [
            { account: "gatewayClearing", amountCents: reservationCents, currency: "EUR" },
            { account: "customerDeposits", amountCents: -reservationCents },
          ],
        },
      ],
    });
    expect(publishedFor(car, "notificationDue")).toContainEqual({
      row: "NT5",
      subject: { expedienteId: car.expedienteId, vehicleId: car.vehicleId, paymentId },
    });
    expect(publishedFor(car, "reservationPaid")).toHaveLength(1);
  });

  test.each([
    ["cash", "cashDesk"],
    ["transfer", "bankAccount"],
  ] as const)(
    "staff record %s: amount and method are kept, with the employee who took it",
    async (method, account) => {
      const car = await platform.sell();
      const asked = await platform.staff.sales.post(reservationOf(car), {
        method,
        amountCents: reservationCents,
      });
      expect(asked).toMatchObject({ status: 202, body: { method, status: "recorded" } });
      expect(await paymentsOf(car)).toMatchObject([{ recorded_by: platform.staff.sales.userId, method }]);
      expect(await ledgerOf(asked.text("id"))).toMatchObject({
        transactions: [{ postings: [{ account, amountCents: reservationCents }, {}] }],
      });
      const [step] = await lastSteps(car, 1);
      expect(step).toMatchObject({ event: "reservationPaid", actor_kind: "staff", automatic: false });
    },
  );

  test("a declined card leaves the sale as it is, and the customer tries again", async () => {
    const car = await platform.sell();
    const first = await car.customer.post(reservationOf(car), declined);
    await platform.runJobs();
    expect((await car.customer.get(`/api/payments/${first.text("id")}`)).body).toMatchObject({
      status: "declined",
      declineReason: "insufficient_funds",
    });
    expect(await platform.stateOf(car.vehicleId)).toBe("start");
    const [step] = await lastSteps(car, 1);
    expect(step).toMatchObject({ event: "reservationDeclined", actor_kind: "partner" });
    expect((await car.customer.post(reservationOf(car), visa)).status).toBe(202);
    await platform.runJobs();
    expect((await paymentsOf(car)).map((payment) => payment.status)).toEqual(["declined", "captured"]);
  });

  test("50 parallel calls with one Idempotency-Key are one payment [fault 22]", async () => {
    const car = await platform.sell();
    const key = randomUUID();
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => car.customer.post(reservationOf(car), visa, key)),
    );
    for (const answer of answers) expect([answer.status, answer.body]).toEqual([202, answers[0]?.body]);
    await platform.runJobs();
    const payments = await paymentsOf(car);
    expect(payments).toMatchObject([{ status: "captured" }]);
    expect(await chargedAtGateway(payments[0]?.id ?? "")).toMatchObject({ capturedCents: reservationCents });
  });

  test("ten calls with ten keys at once are one payment too: the others find it under way", async () => {
    const car = await platform.sell();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => car.customer.post(reservationOf(car), visa)),
    );
    expect(answers.map((answer) => answer.status).sort()).toEqual([202, ...Array(9).fill(409)]);
    await platform.runJobs();
    expect(await car.customer.post(reservationOf(car), visa)).toMatchObject({
      status: 409,
      body: { code: "conflict", detail: expect.stringContaining("paid already") },
    });
    expect(await paymentsOf(car)).toHaveLength(1);
  });

  describe("bad input is refused with an error that names the field, and nothing is charged [fault 31]", () => {
    let car: SoldCar;
    beforeAll(async () => {
      car = await platform.sell();
    });
    afterAll(async () => {
      expect(await paymentsOf(car)).toEqual([]);
    });
    const { amountCents, ...cash } = { method: "cash", amountCents: reservationCents };
    test.each([
      ["customer", "an amount of their own", { ...visa, amountCents: 1 }, "body.amountCents"],
      ["customer", "cash", { ...cash, amountCents }, "body.amountCents"],
      ["customer", "another payer", { ...visa, payer: "A friend" }, "body.payer"],
      ["customer", "no card", {}, "body.paymentMethod"],
      ["customer", "a card number", { paymentMethod: "4242424242424242" }, "body.paymentMethod"],
      ["customer", "a state", { ...visa, status: "captured" }, "status"],
      ["sales", "less than agreed", { ...cash, amountCents: amountCents - 1 }, "body.amountCents"],
      ["sales", "more than agreed", { ...cash, amountCents: amountCents + 1 }, "body.amountCents"],
      ["sales", "no amount", cash, "body.amountCents"],
      ["sales", "no method", { amountCents }, "body.method"],
      ["sales", "a cheque", { method: "cheque", amountCents }, "body.method"],
      ["sales", "a card", visa, "body.paymentMethod"],
    ] as const)("%s with %s", async (who, _what, body, field) => {
      const person = who === "customer" ? car.customer : platform.staff.sales;
      const refused = await person.post(reservationOf(car), body);
      expect(refused.status).toBe(400);
      expect(JSON.stringify(refused.body)).toContain(field);
    });

    test("for a stranger's expediente it does not exist [fault 30]", async () => {
      const stranger = await platform.sell();
      expect((await stranger.customer.post(reservationOf(car), visa)).status).toBe(404);
      const cashBody = { ...cash, amountCents };
      expect((await platform.staff.otherSales.post(reservationOf(car), cashBody)).status).toBe(404);
      expect((await platform.staff.support.post(reservationOf(car), cashBody)).status).toBe(403);
    });
  });
});

describe("the final payment [AU7, DA8]", () => {
  test("before the car is ready the rules refuse it and name their section; nothing is stored [DE9]", async () => {
    const car = await platform.sell();
    expect(await car.customer.post(finalOf(car), visa)).toMatchObject({
      status: 409,
      body: {
        code: "ruleRefused",
        rule: "vehicle",
        section: "Operational State Tracking → Vehicle Operational States",
      },
    });
    expect(await paymentsOf(car)).toEqual([]);
  });

  test("is the price less the reservation, charged by card, told, and handed on to registration", async () => {
    const car = await platform.sellReadyCar();
    const asked = await car.customer.post(finalOf(car), visa);
    expect(asked).toMatchObject({ status: 202, body: { kind: "final", amountCents: finalCents } });
    const paymentId = asked.text("id");
    await platform.runJobs();
    expect(await chargedAtGateway(paymentId)).toMatchObject({ capturedCents: finalCents });
    // Registered only with the authority's document.
    expect(await platform.stateOf(car.vehicleId)).toBe("PaymentPending");
    const [step] = await lastSteps(car, 1);
    expect(step).toMatchObject({
      event: "finalPaymentReceived",
      arrow: "VX4",
      automation_row: "AU7",
      actor_kind: "customer",
      automatic: false,
    });
    expect(publishedFor(car, "finalPaymentReceived")).toMatchObject([{ paymentId }]);
    expect(
      publishedFor(car, "notificationDue").filter((due) => JSON.stringify(due).includes("NT5")),
    ).toHaveLength(2);
    expect(await car.customer.post(finalOf(car), visa)).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining("paid already") },
    });
  });

  test("on delivery both deposits become sales, once", async () => {
    const car = await platform.sellReadyCar();
    await car.customer.post(finalOf(car), visa);
    await platform.runJobs();
    const delivery = {
      status: "success",
      at: "2026-03-05T10:00:00.000Z",
      receivedBy: "Lucía",
      place: "home",
    };
    await platform.db
      .updateTable("expedientes")
      .set({ status: "completed", delivery: JSON.stringify(delivery) })
      .where("id", "=", car.expedienteId)
      .execute();
    for (let time = 0; time < 2; time += 1)
      await platform.db.transaction().execute((tx) =>
        platform.context.publish(tx, "vehicleMoved", [
          {
            vehicleId: car.vehicleId,
            event: "customerPresent",
            from: "DeliveryAttempt",
            to: "Delivered",
            actor: { kind: "partner", id: "transport" },
          },
        ]),
      );
    const rows = await platform.db
      .selectFrom("ledger_postings")
      .innerJoin("ledger_transactions", "ledger_transactions.id", "transaction_id")
      .innerJoin("payments", "payments.id", "payment_id")
      .where("expediente_id", "=", car.expedienteId)
      .groupBy("account")
      .select((select) => ["account", select.fn.sum<string>("ledger_postings.amount_cents").as("cents")])
      .execute();
    expect(Object.fromEntries(rows.map((row) => [row.account, Number(row.cents)]))).toEqual({
      cashDesk: reservationCents,
      gatewayClearing: finalCents,
      customerDeposits: 0,
      vehicleSales: -(reservationCents + finalCents),
    });
  });

  test("the bank refuses it, so the car becomes SinAsignar, then DealershipStock, and the reservation is lost [LF5, LF6, FA10, VA6, VA7, VS6, VS7]", async () => {
    const car = await platform.sellReadyCar();
    await car.customer.post(finalOf(car), declined);
    await platform.runJobs();
    expect(await lastSteps(car, 2)).toMatchObject([
      { event: "finalPaymentFailed", arrow: "VA6", to_state: "SinAsignar", automation_row: "AU7" },
      { event: "markedForImmediateSale", arrow: "VA7", to_state: "DealershipStock", actor_kind: "system" },
    ]);
    const [reservation, final] = await paymentsOf(car);
    expect(final).toMatchObject({ status: "declined", decline_reason: "insufficient_funds" });
    expect(await ledgerOf(reservation?.id ?? "")).toMatchObject({
      transactions: [
        { kind: "depositReceived" },
        {
          kind: "depositForfeited",
          postings: [
            { account: "customerDeposits", amountCents: reservationCents },
            { account: "forfeitedReservations", amountCents: -reservationCents },
          ],
        },
      ],
    });
    expect(await car.customer.get(`/api/expedientes/${car.expedienteId}`)).toMatchObject({
      body: { status: "reservationLost", vehicle: { state: "DealershipStock" } },
    });
    expect(publishedFor(car, "finalPaymentDeclined")).toHaveLength(1);
    expect((await car.customer.post(finalOf(car), visa)).status).toBe(409);
    expect(await paymentsOf(car)).toHaveLength(2);
  });

  test("a card that does not exist is no refusal by the bank: the customer may correct it", async () => {
    const car = await platform.sellReadyCar();
    await car.customer.post(finalOf(car), { paymentMethod: "pm_card_vsia" });
    expect(await platform.runJobs()).toBe(0);
    expect(await platform.stateOf(car.vehicleId)).toBe("PaymentPending");
    expect((await paymentsOf(car)).at(-1)).toMatchObject({
      status: "declined",
      decline_reason: "unknownPaymentMethod",
    });
    await car.customer.post(finalOf(car), visa);
    await platform.runJobs();
    expect((await paymentsOf(car)).at(-1)).toMatchObject({ status: "captured" });
  });

  test.each([
    ["an amount", { ...visa, amountCents: 1 }, "amountCents"],
    ["a price", { ...visa, priceCents: 1 }, "priceCents"],
    ["nothing", {}, "body.paymentMethod"],
  ])("fault 31: %s in the body is refused and named", async (_what, body, field) => {
    const car = await platform.sell();
    const refused = await car.customer.post(finalOf(car), body);
    expect(refused.status).toBe(400);
    expect(JSON.stringify(refused.body)).toContain(field);
  });
});

describe("a gateway that does not answer [fault 24]", () => {
  test.each([
    ["though it charged", { timeOutAfterDoingNext: { count: 1 } }],
    ["and did not charge", { timeOutBeforeDoingNext: { count: 1 } }],
    ["but with an error of its own", { failNext: { count: 1, status: 500 } }],
  ])("%s: the final payment waits for certainty and is charged once", async (_what, faults) => {
    const car = await platform.sellReadyCar();
    await platform.gateway("PUT", "/_control/faults", faults);
    const paymentId = (await car.customer.post(finalOf(car), visa)).text("id");
    expect(await platform.runJobs()).toBe(1);
    expect((await car.customer.get(`/api/payments/${paymentId}`)).body).toMatchObject({ status: "pending" });
    expect(publishedFor(car, "finalPaymentReceived")).toEqual([]);
    expect(await platform.retryJobs()).toBe(0);
    expect((await car.customer.get(`/api/payments/${paymentId}`)).body).toMatchObject({ status: "captured" });
    expect(await chargedAtGateway(paymentId)).toMatchObject({ intents: 1, capturedCents: finalCents });
    expect(publishedFor(car, "finalPaymentReceived")).toHaveLength(1);
  });

  test("for more than a day, when it has forgotten our key: the payment is found by our reference, not made again", async () => {
    const car = await platform.sell();
    await platform.gateway("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    const paymentId = (await car.customer.post(reservationOf(car), visa)).text("id");
    expect(await platform.runJobs()).toBe(1);
    platform.clock.advanceMs(25 * hourMs);
    expect(await platform.retryJobs()).toBe(0);
    expect(await chargedAtGateway(paymentId)).toMatchObject({ intents: 1, capturedCents: reservationCents });
    expect((await car.customer.get(`/api/payments/${paymentId}`)).body).toMatchObject({ status: "captured" });
  });
});

describe("the gateway's webhook [fault 25]", () => {
  function deliver(event: object | null, header?: string) {
    const payload = JSON.stringify(event);
    return platform.server.inject({
      method: "POST",
      url: "/webhooks/payments",
      headers: {
        "content-type": "application/json",
        "stripe-signature":
          header ??
          Stripe.webhooks.generateTestHeaderString({
            payload,
            secret: "whsec_the gateway's secret in a test",
          }),
      },
      payload,
    });
  }
  const succeeded = (reference: string, id = `evt_${randomUUID()}`) => ({
    id,
    object: "event",
    type: "payment_intent.succeeded",
    data: { object: { id: "pi_forged", metadata: { reference } } },
  });

  test("alone is enough: when our own job never hears the answer, the webhook makes us ask the gateway", async () => {
    const car = await platform.sell();
    await platform.gateway("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    const paymentId = (await car.customer.post(reservationOf(car), visa)).text("id");
    expect(await platform.runJobs()).toBe(1);
    // The partner's own message, delivered once more, so that it has certainly arrived.
    const sent = await platform.gateway("GET", "/_control/webhooks");
    const messages = sent !== null && typeof sent === "object" && "webhooks" in sent ? sent.webhooks : [];
    const message = Array.isArray(messages) ? messages.find((each) => each.body.includes(paymentId)) : null;
    await platform.gateway("POST", `/_control/webhooks/${message.id}/send-again`);
    const { rows } = await sql`delete from jobs where kind = 'chargePayment' returning 1`.execute(
      platform.db,
    );
    expect(rows).toHaveLength(1);
    expect(await platform.retryJobs()).toBe(0);
    expect((await car.customer.get(`/api/payments/${paymentId}`)).body).toMatchObject({ status: "captured" });
    expect(publishedFor(car, "reservationPaid")).toHaveLength(1);
  });

  test("forged is refused with 401; signed by the gateway it is a doorbell, whose word alone moves no money", async () => {
    const car = await platform.sellReadyCar();
    await platform.gateway("PUT", "/_control/faults", { timeOutBeforeDoingNext: { count: 1 } });
    const paymentId = (await car.customer.post(finalOf(car), visa)).text("id");
    await platform.runJobs();
    const forged = await deliver(succeeded(paymentId), "t=1,v1=00");
    expect(forged.statusCode).toBe(401);
    expect(forged.json()).toMatchObject({ code: "signatureInvalid" });
    expect((await deliver(succeeded(paymentId))).statusCode).toBe(200);
    expect((await car.customer.get(`/api/payments/${paymentId}`)).body).toMatchObject({ status: "pending" });
  });

  test("repeated, it has no effect", async () => {
    const car = await platform.sell();
    const paymentId = (await car.customer.post(reservationOf(car), visa)).text("id");
    await platform.runJobs();
    const event = succeeded(paymentId);
    expect((await deliver(event)).json()).toEqual({ received: true, duplicate: false });
    expect((await deliver(event)).json()).toEqual({ received: true, duplicate: true });
    expect(await platform.runJobs()).toBe(0);
    expect(await paymentsOf(car)).toHaveLength(1);
  });

  const ofIntent = (object: object, type = "payment_intent.succeeded") => ({
    id: `evt_${randomUUID()}`,
    object: "event",
    type,
    data: { object: { id: "pi_theirs", ...object } },
  });
  test.each([
    ["another shop's payment", () => ofIntent({ metadata: { reference: randomUUID() } })],
    ["a payment of another shop's own numbering", () => ofIntent({ metadata: { reference: "4711" } })],
    ["a payment without metadata", () => ofIntent({ metadata: {} })],
    ["a payment whose metadata are null", () => ofIntent({ metadata: null })],
    ["a charge without a payment", () => ofIntent({ payment_intent: null, metadata: {} }, "charge.refunded")],
    ["another shop's charge", () => ofIntent({ payment_intent: "pi_theirs" }, "charge.dispute.created")],
    ["a customer, which we do not use", () => ofIntent({}, "customer.created")],
    ["nothing", () => null],
  ])("about %s it is answered 200 and has no effect [F17]", async (_what, event) => {
    const before = await platform.db.selectFrom("payments").select("id").orderBy("id").execute();
    expect((await deliver(event())).statusCode).toBe(200);
    await platform.runJobs();
    for (let tries = 1; tries < messageTries; tries += 1) await platform.retryJobs();
    expect(await platform.db.selectFrom("jobs").select("kind").execute()).toEqual([]);
    expect(await platform.db.selectFrom("payments").select("id").orderBy("id").execute()).toEqual(before);
    expect(
      await platform.db.selectFrom("tasks").where("kind", "=", "messageNotTaken").select("id").execute(),
    ).toEqual([]);
  });

  test("that says nothing new costs one read: nothing is written", async () => {
    const car = await platform.sell();
    const paymentId = (await car.customer.post(reservationOf(car), visa)).text("id");
    expect(await platform.runJobs()).toBe(0);
    // PostgreSQL gives out a transaction id for the first thing that a transaction writes.
    const nextTransaction = async () => {
      const { rows } = await sql<{
        next: string;
      }>`select pg_snapshot_xmax(pg_current_snapshot())::text as next`.execute(platform.db);
      return rows[0]?.next;
    };
    const before = await nextTransaction();
    const event = gatewayEventSchema.parse(succeeded(paymentId));
    expect(await handleGatewayEvents(platform.context, [{ event, attempt: 1 }])).toEqual([{ kind: "done" }]);
    expect(await nextTransaction()).toBe(before);
    // Delivered, it is stored and has no job.
    expect((await deliver(succeeded(paymentId))).statusCode).toBe(200);
    expect(
      await platform.db.selectFrom("jobs").where("kind", "=", "hearGateway").select("id").execute(),
    ).toEqual([]);
  });
});
