import { randomUUID } from "node:crypto";
import { hourMs } from "@caas/contract/durations.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { mostTries } from "../../../rules/decline-table.ts";
import { readTaken } from "../../../testing/fixtures/gateway-books.ts";
import { type SoldCar, startTestSales, type TestSales } from "../../../testing/fixtures/sales.ts";

let platform: TestSales;
beforeAll(async () => {
  platform = await startTestSales({
    name: "declines",
    standIns: ["gateway", "factory"],
    factoryPace: { mode: "auto", milestoneDelayMs: 0 },
    unheard: ["finalPaymentReceived"],
  });
});
afterAll(() => platform.close());
afterEach(() => platform.gateway("DELETE", "/_control/faults"));

const kinds = ["reservation", "final"] as const;
type Kind = (typeof kinds)[number];
const urlOf = (car: SoldCar, kind: Kind) => `/api/expedientes/${car.expedienteId}/${kind}-payment`;
const carFor = (kind: Kind) => (kind === "final" ? platform.sellReadyCar() : platform.sell());
const visa = { paymentMethod: "pm_card_visa" };

/** A card of its own, so that no other test's card changes. */
async function card(behaviour: string, more: { code?: string; times?: number } = {}) {
  const paymentMethod = `pm_${randomUUID().replaceAll("-", "")}`;
  await platform.gateway("PUT", `/_control/cards/${paymentMethod}`, { behaviour, ...more });
  return { paymentMethod };
}

async function pay(car: SoldCar, kind: Kind, means: { paymentMethod: string }): Promise<string> {
  const answer = await car.customer.post(urlOf(car, kind), means);
  expect(answer.status).toBe(202);
  await platform.runJobs();
  return answer.text("id");
}

async function read(car: SoldCar, paymentId: string) {
  return (await car.customer.get(`/api/payments/${paymentId}`)).body;
}

/** After the customer was at the bank's page. */
async function confirm(paymentId: string, outcome: "confirm" | "fail"): Promise<void> {
  const { confirm_url: url } = await platform.db
    .selectFrom("payments")
    .where("id", "=", paymentId)
    .select("confirm_url")
    .executeTakeFirstOrThrow();
  const reply = await fetch(`${url}/${outcome}`, { method: "POST", redirect: "manual" });
  expect(reply.status).toBe(303);
  expect(reply.headers.get("location")).toMatch(/^http:\/\/127\.0\.0\.1.*payment_intent=pi_/);
}

async function untilStatus(car: SoldCar, paymentId: string, status: string): Promise<void> {
  await platform.waitUntil(`the payment becomes ${status}`, async () => {
    await platform.retryJobs();
    const payment = await read(car, paymentId);
    const found = payment !== null && typeof payment === "object" && "status" in payment && payment.status;
    return found === status ? true : undefined;
  });
}

const chargedAtGateway = (paymentId: string) => readTaken(platform.gateway, paymentId);

function told(car: SoldCar): string[] {
  return platform.published.flatMap((one) => {
    if (!JSON.stringify(one.event).includes(car.expedienteId)) return [];
    if (one.name === "taskNeeded") return [one.event.kind];
    return one.name === "notificationDue" && one.event.row.startsWith("NX") ? [one.event.row] : [];
  });
}

const mailsOf = async (car: SoldCar) =>
  platform.db
    .selectFrom("notifications")
    .where("expediente_id", "=", car.expedienteId)
    .where("channel", "=", "email")
    .orderBy("id")
    .select(["row_id", "body"])
    .execute();

const stockOf = (car: SoldCar) => platform.stateOf(car.vehicleId);

describe("the bank wants the customer to confirm (3-D Secure)", () => {
  test.each(kinds)(
    "the %s payment is neither refused nor paid until the customer has confirmed at the bank [F7]",
    async (kind) => {
      const car = await carFor(kind);
      const paymentId = await pay(car, kind, { paymentMethod: "pm_card_threeDSecure2Required" });
      const confirmBy = new Date(platform.clock.now().getTime() + 24 * hourMs).toISOString();
      expect(await read(car, paymentId)).toMatchObject({
        status: "unconfirmed",
        decline: null,
        confirmation: { url: expect.stringContaining("/confirm/pi_"), confirmBy },
      });
      expect(told(car)).toEqual(["NX9"]);
      const mail = (await mailsOf(car)).find(({ row_id: row }) => row === "NX9");
      expect(mail?.body).toContain("/confirm/pi_");
      expect(await car.customer.post(urlOf(car, kind), visa)).toMatchObject({
        status: 409,
        body: { detail: "this payment waits for the customer to confirm it at the bank" },
      });
      await confirm(paymentId, "confirm");
      await untilStatus(car, paymentId, "captured");
      expect(await read(car, paymentId)).toMatchObject({ confirmation: null });
      expect(await chargedAtGateway(paymentId)).toMatchObject({ intents: 1 });
      platform.clock.advanceMs(48 * hourMs);
      await platform.runTimers();
      await platform.runJobs();
      expect(told(car)).toEqual(["NX9"]);
    },
  );

  test("a bank that answers authentication_required is asked for its page at once; the car is not lost [F7]", async () => {
    const car = await platform.sellReadyCar();
    const soft = await card("decline", { code: "authentication_required", times: 1 });
    const paymentId = await pay(car, "final", soft);
    expect(await read(car, paymentId)).toMatchObject({ status: "captured" });
    const other = await platform.sellReadyCar();
    const stubborn = await card("decline", { code: "authentication_required" });
    const second = await pay(other, "final", stubborn);
    for (let attempt = 1; attempt < mostTries; attempt += 1) await platform.retryJobs();
    expect(await read(other, second)).toMatchObject({
      status: "declined",
      decline: { reason: "authentication_required", isRefusal: false },
    });
    expect(await stockOf(other)).toBe("PaymentPending");
  });

  test("a customer who lets the time pass is reminded once, and then it counts as a refusal [F7, FA10]", async () => {
    const car = await platform.sellReadyCar();
    const paymentId = await pay(car, "final", { paymentMethod: "pm_card_authenticationRequired" });
    platform.clock.advanceMs(12 * hourMs);
    await platform.runTimers();
    await platform.runJobs();
    expect(told(car)).toEqual(["NX9", "NX10"]);
    expect(await stockOf(car)).toBe("PaymentPending");
    platform.clock.advanceMs(12 * hourMs);
    await platform.runTimers();
    await platform.runJobs();
    expect(await read(car, paymentId)).toMatchObject({
      status: "declined",
      decline: { reason: "confirmationExpired", isRefusal: true },
    });
    expect(told(car)).toEqual(["NX9", "NX10", "NX1"]);
    expect(await stockOf(car)).toBe("DealershipStock");
    expect(await chargedAtGateway(paymentId)).toMatchObject({ capturedCents: 0 });
  });

  test("a reservation that nobody confirms ends, and the customer may pay again [F7]", async () => {
    const car = await platform.sell();
    const paymentId = await pay(car, "reservation", { paymentMethod: "pm_card_authenticationRequired" });
    platform.clock.advanceMs(24 * hourMs);
    await platform.runTimers();
    await platform.runJobs();
    expect(await read(car, paymentId)).toMatchObject({ status: "declined" });
    await pay(car, "reservation", visa);
  });

  test("a confirmation whose webhook is lost is found when the reminder is due: nobody is reminded [F7]", async () => {
    const car = await platform.sellReadyCar();
    const paymentId = await pay(car, "final", { paymentMethod: "pm_card_threeDSecure2Required" });
    await platform.gateway("PUT", "/_control/faults", { dropWebhooksNext: { count: 1 } });
    await confirm(paymentId, "confirm");
    platform.clock.advanceMs(12 * hourMs);
    await platform.runTimers();
    await platform.runJobs();
    expect(await read(car, paymentId)).toMatchObject({ status: "captured" });
    expect(told(car)).toEqual(["NX9"]);
  });

  test("a customer whom the bank does not recognise loses nothing, and may pay again at once [F7]", async () => {
    const car = await platform.sellReadyCar();
    const paymentId = await pay(car, "final", { paymentMethod: "pm_card_threeDSecure2Required" });
    await confirm(paymentId, "fail");
    await untilStatus(car, paymentId, "declined");
    expect(await read(car, paymentId)).toMatchObject({
      decline: { reason: "payment_intent_authentication_failure", isRefusal: false },
    });
    expect(await stockOf(car)).toBe("PaymentPending");
    await pay(car, "final", visa);
  });

  test("a bank that refuses after the confirmation has refused [F7, FA10]", async () => {
    const car = await platform.sellReadyCar();
    const means = await card("authenticate");
    const paymentId = await pay(car, "final", means);
    await platform.gateway("PUT", `/_control/cards/${means.paymentMethod}`, {
      behaviour: "decline",
      code: "insufficient_funds",
    });
    await confirm(paymentId, "confirm");
    await untilStatus(car, paymentId, "declined");
    expect(await stockOf(car)).toBe("DealershipStock");
  });

  test("an error after the confirmation is tried again [F7, F8]", async () => {
    const car = await platform.sellReadyCar();
    const means = await card("authenticate");
    const paymentId = await pay(car, "final", means);
    await platform.gateway("PUT", `/_control/cards/${means.paymentMethod}`, {
      behaviour: "failForNow",
      code: "processing_error",
      times: 1,
    });
    await confirm(paymentId, "confirm");
    await untilStatus(car, paymentId, "captured");
    expect(await chargedAtGateway(paymentId)).toMatchObject({ intents: 1 });
  });
});

describe("nobody said no", () => {
  test.each(
    kinds.flatMap((kind) =>
      (["processing_error", "try_again_later", "issuer_not_available"] as const).map((code) => ({
        kind,
        code,
      })),
    ),
  )("the $kind payment answered $code is tried again and paid once [F8]", async ({ kind, code }) => {
    const car = await carFor(kind);
    const paymentId = await pay(car, kind, await card("failForNow", { code, times: 2 }));
    for (let failures = 0; failures < 2; failures += 1) {
      expect(await read(car, paymentId)).toMatchObject({ status: "pending" });
      await platform.retryJobs();
    }
    expect(await read(car, paymentId)).toMatchObject({ status: "captured" });
    expect(await chargedAtGateway(paymentId)).toMatchObject({ intents: 1 });
    expect(told(car)).toEqual([]);
  });

  test("a gateway that takes no more requests is asked again with the same payment [F8]", async () => {
    const car = await platform.sellReadyCar();
    await platform.gateway("PUT", "/_control/faults", { failNext: { count: 1, status: 429 } });
    const paymentId = await pay(car, "final", visa);
    expect(await read(car, paymentId)).toMatchObject({ status: "pending" });
    await platform.retryJobs();
    expect(await chargedAtGateway(paymentId)).toMatchObject({ intents: 1 });
    expect(await read(car, paymentId)).toMatchObject({ status: "captured" });
  });

  test("after the last try a person is asked and the customer told; the car stays, and another card is accepted [F8]", async () => {
    const car = await platform.sellReadyCar();
    const paymentId = await pay(car, "final", { paymentMethod: "pm_card_chargeDeclinedProcessingError" });
    for (let attempt = 2; attempt <= mostTries; attempt += 1) {
      expect(await read(car, paymentId)).toMatchObject({ status: "pending" });
      await platform.retryJobs();
    }
    expect(await read(car, paymentId)).toMatchObject({
      status: "declined",
      decline: { reason: "processing_error", isRefusal: false },
    });
    expect(told(car)).toEqual(["paymentNotMade", "NX11"]);
    expect(await stockOf(car)).toBe("PaymentPending");
    const second = await pay(car, "final", visa);
    expect(await read(car, second)).toMatchObject({ status: "captured" });
  });

  test("a gateway that does not answer for long becomes a task, once, and is asked further [F8, F9]", async () => {
    const car = await platform.sellReadyCar();
    await platform.gateway("PUT", "/_control/faults", { failNext: { count: 100, status: 503 } });
    const paymentId = await pay(car, "final", visa);
    for (let attempt = 2; attempt <= mostTries + 1; attempt += 1) await platform.retryJobs();
    expect(told(car)).toEqual(["paymentUnanswered"]);
    await platform.gateway("DELETE", "/_control/faults");
    await platform.retryJobs();
    expect(await read(car, paymentId)).toMatchObject({ status: "captured" });
  });
});

describe("not with this card", () => {
  test.each(kinds)(
    "a card that was used before ends the %s payment with that reason, and another card is accepted at once [F9]",
    async (kind) => {
      const car = await carFor(kind);
      const paymentId = await pay(car, kind, { paymentMethod: "pm_card_usedBefore" });
      expect(await read(car, paymentId)).toMatchObject({
        status: "declined",
        decline: {
          reason: "paymentMethodNotUsable",
          isRefusal: false,
          advice: "Enter the card again, or use another one.",
        },
      });
      const second = await pay(car, kind, visa);
      expect(await read(car, second)).toMatchObject({ status: "captured" });
    },
  );

  test("a request that was not taken, and whose answer was lost, is no refusal either: the car stays [F9]", async () => {
    const car = await platform.sellReadyCar();
    await platform.gateway("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    const paymentId = await pay(car, "final", { paymentMethod: "pm_card_usedBefore" });
    expect(await read(car, paymentId)).toMatchObject({ status: "pending" });
    await platform.retryJobs();
    expect(await read(car, paymentId)).toMatchObject({
      status: "declined",
      decline: { reason: "paymentMethodNotUsable", isRefusal: false },
    });
    expect(await stockOf(car)).toBe("PaymentPending");
  });

  test("an amount below the gateway's least ends the payment with that reason and a task [F9]", async () => {
    const car = await platform.sell();
    await platform.db
      .updateTable("expedientes")
      .set({ reservation_cents: 10 })
      .where("id", "=", car.expedienteId)
      .execute();
    const paymentId = await pay(car, "reservation", visa);
    expect(await read(car, paymentId)).toMatchObject({
      status: "declined",
      decline: { reason: "amount_too_small", isRefusal: false },
    });
    expect(told(car)).toEqual(["paymentNotMade", "NX11"]);
  });

  test("a card that the customer has paid with pays again: it belongs to a customer at the gateway [F9]", async () => {
    const car = await platform.sell();
    const { gateway_customer_id: customer } = await platform.db
      .selectFrom("customers")
      .where("id", "=", car.customerId)
      .select("gateway_customer_id")
      .executeTakeFirstOrThrow();
    expect(customer).toMatch(/^cus_/);
    const kept = { paymentMethod: "pm_card_authenticationRequiredOnSetup" };
    const first = await pay(car, "reservation", kept);
    await confirm(first, "confirm");
    await untilStatus(car, first, "captured");
    await platform.untilState(car.vehicleId, "PaymentPending");
    const second = await pay(car, "final", kept);
    expect(await read(car, second)).toMatchObject({ status: "captured" });
    const other = await platform.sell();
    expect(await read(other, await pay(other, "reservation", kept))).toMatchObject({ status: "unconfirmed" });
  });
});

describe("the bank refuses [FA10, VA6]", () => {
  test.each(["expired_card", "lost_card", "a_code_of_tomorrow"])(
    "%s is a refusal: the car is lost, as before",
    async (code) => {
      const car = await platform.sellReadyCar();
      const paymentId = await pay(car, "final", await card("decline", { code }));
      expect(await read(car, paymentId)).toMatchObject({ decline: { reason: code, isRefusal: true } });
      expect(await stockOf(car)).toBe("DealershipStock");
    },
  );
});
