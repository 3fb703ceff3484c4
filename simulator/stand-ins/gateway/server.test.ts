import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Stripe from "stripe";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { type PartnerClient, partnerClient } from "../client.ts";
import type { RunningPartner } from "../shared/partner.ts";
import { startWebhookReceiver, typeOf, type WebhookReceiver } from "../testing/webhook-receiver.ts";
import { startGateway } from "./server.ts";

const apiKey = "sk_test_gateway";
const secret = "whsec_gateway_secret";
const dayMs = 24 * 3600 * 1000;

let receiver: WebhookReceiver;
let gateway: RunningPartner;
let stripe: Stripe;
let control: PartnerClient;
let now = new Date("2026-11-02T09:00:00Z");
const folder = mkdtempSync(join(tmpdir(), "gateway-"));
let storeNumber = 0;

beforeEach(async () => {
  receiver = await startWebhookReceiver();
  storeNumber += 1;
  now = new Date("2026-11-02T09:00:00Z");
  await start();
});

afterEach(async () => {
  await gateway.close();
  await receiver.close();
});

afterAll(() => rmSync(folder, { recursive: true }));

async function start() {
  gateway = await startGateway({
    port: 0,
    storePath: join(folder, `${storeNumber}.db`),
    apiKey,
    webhook: { baseUrl: receiver.url, secret, retryBaseMs: 1 },
    clock: { now: () => now },
  });
  stripe = connect(apiKey);
  control = partnerClient(gateway.url);
}

function connect(key: string): Stripe {
  const { hostname, port } = new URL(gateway.url);
  return new Stripe(key, { host: hostname, port, protocol: "http", maxNetworkRetries: 0, telemetry: false });
}

const setFaults = (body: unknown) => control("PUT", "/_control/faults", { body });

const hold: Stripe.PaymentIntentCreateParams = {
  amount: 4900,
  currency: "eur",
  payment_method: "pm_card_visa",
  capture_method: "manual",
  confirm: true,
  off_session: true,
  metadata: { reference: "act-1" },
  description: "Heated seats",
};

/** What a call was refused with; a call that succeeds fails the test. */
async function refusalOf(call: Promise<unknown>): Promise<Stripe.errors.StripeError> {
  const outcome = await call.then(
    () => "succeeded",
    (error: unknown) => error,
  );
  if (outcome instanceof Stripe.errors.StripeError) return outcome;
  throw new Error(`expected a refusal, got ${String(outcome)}`);
}

const totals = async () => (await control("GET", "/_control/charges")).body;

describe("customers", () => {
  test("a customer is created and retrieved with the official SDK", async () => {
    const created = await stripe.customers.create({
      email: "ana@example.org",
      name: "Ana Ruiz",
      metadata: { customerId: "c-1" },
    });
    expect(await stripe.customers.retrieve(created.id)).toEqual(created);
    expect(created).toMatchObject({
      object: "customer",
      email: "ana@example.org",
      metadata: { customerId: "c-1" },
    });
    expect(await refusalOf(stripe.customers.retrieve("cus_none"))).toMatchObject({
      statusCode: 404,
      code: "resource_missing",
    });
  });

  test("a parameter the API does not have is refused by name", async () => {
    const params = { email: "ana@example.org", vip: "yes" };
    expect(await refusalOf(stripe.customers.create(params))).toMatchObject({
      type: "StripeInvalidRequestError",
      statusCode: 400,
      param: "vip",
    });
  });

  test("a wrong key is refused as Stripe does", async () => {
    const stranger = connect("sk_test_other");
    expect(await refusalOf(stranger.customers.create({}))).toBeInstanceOf(
      Stripe.errors.StripeAuthenticationError,
    );
  });
});

describe("a payment that the customer confirms (3-D Secure)", () => {
  const asked: Stripe.PaymentIntentCreateParams = {
    amount: 4900,
    currency: "eur",
    payment_method: "pm_card_threeDSecure2Required",
    capture_method: "manual",
    confirm: true,
    return_url: "https://app.example/back?x=1",
  };
  const post = (url: string | null | undefined, outcome: string) =>
    fetch(`${url}/${outcome}`, { method: "POST", redirect: "manual" });

  test("waits with the bank's page, is told by webhook, and sends the customer back when they have [F7]", async () => {
    const intent = await stripe.paymentIntents.create(asked);
    expect(intent).toMatchObject({ status: "requires_action", latest_charge: null });
    await receiver.waitFor((webhook) => typeOf(webhook) === "payment_intent.requires_action");
    const url = intent.next_action?.redirect_to_url?.url;
    expect(await (await fetch(String(url))).text()).toContain("Confirm 49.00 EUR");
    const back = await post(url, "confirm");
    expect([back.status, back.headers.get("location")]).toEqual([
      303,
      `https://app.example/back?x=1&payment_intent=${intent.id}`,
    ]);
    expect(await stripe.paymentIntents.retrieve(intent.id)).toMatchObject({
      status: "requires_capture",
      next_action: null,
    });
    expect((await post(url, "confirm")).status).toBe(400);
    expect((await fetch(`${gateway.url}/confirm/pi_none`)).status).toBe(404);
  });

  test("fails where the customer is not recognised, and is cancelled by its owner [F7]", async () => {
    const failed = await stripe.paymentIntents.create(asked);
    await post(failed.next_action?.redirect_to_url?.url, "fail");
    expect(await stripe.paymentIntents.retrieve(failed.id)).toMatchObject({
      status: "requires_payment_method",
      last_payment_error: { code: "payment_intent_authentication_failure" },
    });
    const left = await stripe.paymentIntents.create(asked);
    expect(await stripe.paymentIntents.cancel(left.id)).toMatchObject({
      status: "canceled",
      next_action: null,
    });
  });

  test("without the customer it is declined, unless the card was set up for the gateway's customer before [F7, F9]", async () => {
    const { return_url: _, ...absent } = { ...asked, off_session: true };
    expect(await refusalOf(stripe.paymentIntents.create(absent))).toMatchObject({
      statusCode: 402,
      code: "authentication_required",
    });
    const customer = (await stripe.customers.create({})).id;
    const kept = { ...asked, customer, payment_method: "pm_card_authenticationRequiredOnSetup" };
    const first = await stripe.paymentIntents.create({ ...kept, setup_future_usage: "off_session" });
    await post(first.next_action?.redirect_to_url?.url, "confirm");
    const { return_url: __, ...later } = { ...kept, off_session: true };
    expect(await stripe.paymentIntents.create(later)).toMatchObject({ status: "requires_capture" });
    const other = (await stripe.customers.create({})).id;
    expect(await refusalOf(stripe.paymentIntents.create({ ...later, customer: other }))).toMatchObject({
      code: "authentication_required",
    });
  });
});

describe("payments that are not made, and no bank refused", () => {
  test("an error of the networks, a card that was used before, an amount that is too small [F8, F9]", async () => {
    const failed = await refusalOf(
      stripe.paymentIntents.create({ ...hold, payment_method: "pm_card_chargeDeclinedProcessingError" }),
    );
    expect(failed).toMatchObject({ statusCode: 402, code: "processing_error" });
    expect(
      await refusalOf(stripe.paymentIntents.create({ ...hold, payment_method: "pm_card_usedBefore" })),
    ).toMatchObject({
      statusCode: 400,
      param: "payment_method",
      message: expect.stringContaining("not be used again"),
    });
    expect(await refusalOf(stripe.paymentIntents.create({ ...hold, amount: 49 }))).toMatchObject({
      statusCode: 400,
      code: "amount_too_small",
    });
    expect(await stripe.paymentIntents.create({ ...hold, amount: 50 })).toMatchObject({
      status: "requires_capture",
    });
  });

  test("a card that fails for a number of payments approves the next one, also of the same payment [F8]", async () => {
    await control("PUT", "/_control/cards/pm_flaky", {
      body: { behaviour: "failForNow", code: "try_again_later", times: 1 },
    });
    const failed = await refusalOf(stripe.paymentIntents.create({ ...hold, payment_method: "pm_flaky" }));
    expect(failed).toMatchObject({ code: "card_declined", decline_code: "try_again_later" });
    const again = await stripe.paymentIntents.confirm(failed.payment_intent?.id ?? "", {
      payment_method: "pm_flaky",
    });
    expect(again.status).toBe("requires_capture");
  });
});

describe("paying", () => {
  test("an automatic payment is captured at once and told by webhook", async () => {
    const intent = await stripe.paymentIntents.create({ ...hold, capture_method: "automatic" });
    expect(intent).toMatchObject({ status: "succeeded", amount_received: 4900, amount_capturable: 0 });
    await receiver.waitFor((webhook) => typeOf(webhook) === "payment_intent.succeeded");
    expect(await totals()).toEqual({
      totals: [
        {
          reference: "act-1",
          currency: "eur",
          intents: 1,
          declines: 0,
          heldCents: 0,
          capturedCents: 4900,
          refundedCents: 0,
          disputedCents: 0,
        },
      ],
    });
  });

  test("a hold says until when it can be captured, and is captured later", async () => {
    const intent = await stripe.paymentIntents.create({ ...hold, expand: ["latest_charge"] });
    expect(intent).toMatchObject({ status: "requires_capture", amount_capturable: 4900, amount_received: 0 });
    expect(intent.latest_charge).toMatchObject({
      captured: false,
      payment_method_details: { card: { capture_before: (now.getTime() + 7 * dayMs) / 1000 } },
    });
    expect(await totals()).toMatchObject({ totals: [{ heldCents: 4900, capturedCents: 0 }] });

    const captured = await stripe.paymentIntents.capture(intent.id);
    expect(captured).toMatchObject({ status: "succeeded", amount_received: 4900, amount_capturable: 0 });
    await receiver.waitFor((webhook) => typeOf(webhook) === "payment_intent.succeeded");
    expect(receiver.acknowledgedTypes()).toEqual([
      "payment_intent.amount_capturable_updated",
      "payment_intent.succeeded",
    ]);
    expect(await totals()).toMatchObject({ totals: [{ heldCents: 0, capturedCents: 4900 }] });
  });

  test("part of a hold is captured, the rest let go; more than the hold is refused", async () => {
    const intent = await stripe.paymentIntents.create(hold);
    expect(
      await refusalOf(stripe.paymentIntents.capture(intent.id, { amount_to_capture: 4901 })),
    ).toMatchObject({
      statusCode: 400,
      code: "amount_too_large",
    });
    const captured = await stripe.paymentIntents.capture(intent.id, { amount_to_capture: 1000 });
    expect(captured).toMatchObject({ status: "succeeded", amount_received: 1000, amount_capturable: 0 });
  });

  test("an intent is confirmed later, with a method given then", async () => {
    const intent = await stripe.paymentIntents.create({ amount: 500, currency: "EUR" });
    expect(intent).toMatchObject({ status: "requires_payment_method", currency: "eur", latest_charge: null });
    expect(await refusalOf(stripe.paymentIntents.confirm(intent.id))).toMatchObject({
      param: "payment_method",
    });
    const paid = await stripe.paymentIntents.confirm(intent.id, { payment_method: "pm_card_mastercard" });
    expect(paid).toMatchObject({ status: "succeeded", payment_method: "pm_card_mastercard" });
    expect(await refusalOf(stripe.paymentIntents.confirm(intent.id))).toMatchObject({
      code: "payment_intent_unexpected_state",
    });
  });

  test.each([
    ["pm_card_chargeDeclined", "generic_decline"],
    ["pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"],
  ])("%s is declined, and the intent keeps why", async (payment_method, declineCode) => {
    const refusal = await refusalOf(stripe.paymentIntents.create({ ...hold, payment_method }));
    expect(refusal).toBeInstanceOf(Stripe.errors.StripeCardError);
    expect(refusal).toMatchObject({ statusCode: 402, code: "card_declined", decline_code: declineCode });
    const declined = await stripe.paymentIntents.retrieve(refusal.payment_intent?.id ?? "");
    expect(declined).toMatchObject({
      status: "requires_payment_method",
      amount_received: 0,
      last_payment_error: { code: "card_declined", decline_code: declineCode },
    });
    await receiver.waitFor((webhook) => typeOf(webhook) === "payment_intent.payment_failed");
    expect(await totals()).toMatchObject({ totals: [{ declines: 1, heldCents: 0, capturedCents: 0 }] });

    const retried = await stripe.paymentIntents.confirm(declined.id, { payment_method: "pm_card_visa" });
    expect(retried).toMatchObject({ status: "requires_capture", last_payment_error: null });
  });

  test.each<[string, Partial<Stripe.PaymentIntentCreateParams>, string]>([
    ["no amount", { amount: 0 }, "amount"],
    ["a currency that is none", { currency: "euros" }, "currency"],
    ["an unknown card", { payment_method: "pm_card_none" }, "payment_method"],
    ["an unknown customer", { customer: "cus_none" }, "customer"],
    ["an expansion that does not exist", { expand: ["mandate"] }, "expand"],
  ])("%s is refused, naming the parameter", async (_what, change, param) => {
    expect(await refusalOf(stripe.paymentIntents.create({ ...hold, ...change }))).toMatchObject({
      statusCode: 400,
      param,
    });
    expect(receiver.received).toEqual([]);
  });

  test("the control entrance turns a card, for a decline at the hold or only at the capture", async () => {
    const turn = (behaviour: string) =>
      control("PUT", "/_control/cards/pm_card_visa", { body: { behaviour } });
    await turn("decline");
    expect(await refusalOf(stripe.paymentIntents.create(hold))).toMatchObject({ code: "card_declined" });
    await turn("declineCapture");
    const held = await stripe.paymentIntents.create(hold);
    expect(await refusalOf(stripe.paymentIntents.capture(held.id))).toMatchObject({ code: "card_declined" });
    await turn("approve");
    expect(await stripe.paymentIntents.capture(held.id)).toMatchObject({ status: "succeeded" });
    expect((await turn("explode")).status).toBe(400);
  });
});

describe("cancelling", () => {
  test("a hold is let go, and a capture after it is refused with the state it is in", async () => {
    const intent = await stripe.paymentIntents.create(hold);
    const canceled = await stripe.paymentIntents.cancel(intent.id, { cancellation_reason: "abandoned" });
    expect(canceled).toMatchObject({
      status: "canceled",
      amount_capturable: 0,
      cancellation_reason: "abandoned",
      canceled_at: now.getTime() / 1000,
    });
    const refusal = await refusalOf(stripe.paymentIntents.capture(intent.id));
    expect(refusal).toMatchObject({ statusCode: 400, code: "payment_intent_unexpected_state" });
    expect(refusal.payment_intent?.status).toBe("canceled");
    expect(await refusalOf(stripe.paymentIntents.cancel(intent.id))).toMatchObject({ statusCode: 400 });
    await receiver.waitFor((webhook) => typeOf(webhook) === "payment_intent.canceled");
  });

  test("a captured payment cannot be cancelled", async () => {
    const intent = await stripe.paymentIntents.create({ ...hold, capture_method: "automatic" });
    expect(await refusalOf(stripe.paymentIntents.cancel(intent.id))).toMatchObject({
      code: "payment_intent_unexpected_state",
    });
  });

  test("a hold that nobody captured ends by itself after seven days", async () => {
    const intent = await stripe.paymentIntents.create(hold);
    now = new Date(now.getTime() + 7 * dayMs - 1000);
    expect(await stripe.paymentIntents.retrieve(intent.id)).toMatchObject({ status: "requires_capture" });
    now = new Date(now.getTime() + 1000);
    expect(await refusalOf(stripe.paymentIntents.capture(intent.id))).toMatchObject({
      code: "payment_intent_unexpected_state",
    });
    expect(await stripe.paymentIntents.retrieve(intent.id)).toMatchObject({
      status: "canceled",
      cancellation_reason: "automatic",
    });
    await receiver.waitFor((webhook) => typeOf(webhook) === "payment_intent.canceled");
  });
});

describe("refunds", () => {
  test("refunds never exceed what was captured", async () => {
    const intent = await stripe.paymentIntents.create(hold);
    const refund = (amount?: number) =>
      stripe.refunds.create({ payment_intent: intent.id, ...(amount === undefined ? {} : { amount }) });
    expect(await refusalOf(refund()), "a hold has nothing to give back").toMatchObject({ statusCode: 400 });
    await stripe.paymentIntents.capture(intent.id, { amount_to_capture: 3000 });
    expect(await refund(1000)).toMatchObject({ object: "refund", amount: 1000, status: "succeeded" });
    expect(await refusalOf(refund(2001))).toMatchObject({ code: "amount_too_large", param: "amount" });
    expect(await refund()).toMatchObject({ amount: 2000 });
    expect(await refusalOf(refund())).toMatchObject({ code: "charge_already_refunded" });
    expect(await totals()).toMatchObject({ totals: [{ capturedCents: 3000, refundedCents: 3000 }] });
    const listed = await stripe.refunds.list({ payment_intent: intent.id });
    expect(listed.data.map(({ amount }) => amount)).toEqual([2000, 1000]);
  });

  test("of two refunds that race for the last money one wins", async () => {
    const intent = await stripe.paymentIntents.create({ ...hold, capture_method: "automatic" });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, () => stripe.refunds.create({ payment_intent: intent.id, amount: 2500 })),
    );
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await totals()).toMatchObject({ totals: [{ capturedCents: 4900, refundedCents: 2500 }] });
  });

  test("a refund is told with the charge it belongs to", async () => {
    const intent = await stripe.paymentIntents.create({ ...hold, capture_method: "automatic" });
    await stripe.refunds.create({ payment_intent: intent.id, reason: "requested_by_customer" });
    const webhook = await receiver.waitFor((one) => typeOf(one) === "charge.refunded");
    expect(JSON.parse(webhook.body)).toMatchObject({
      data: {
        object: {
          payment_intent: intent.id,
          amount_refunded: 4900,
          refunded: true,
          metadata: { reference: "act-1" },
        },
      },
    });
  });
});

describe("idempotency", () => {
  const options = { idempotencyKey: "pay-act-1" };

  test("the same key and parameters get the stored answer: one payment", async () => {
    const first = await stripe.paymentIntents.create(hold, options);
    const again = await stripe.paymentIntents.create(hold, options);
    expect(again).toEqual(first);
    expect(again.lastResponse.headers["idempotent-replayed"]).toBe("true");
    expect(first.lastResponse.headers["idempotent-replayed"]).toBeUndefined();
    expect(await totals()).toMatchObject({ totals: [{ intents: 1, heldCents: 4900 }] });
  });

  test("50 parallel calls with one key make one payment", async () => {
    const all = await Promise.all(
      Array.from({ length: 50 }, () => stripe.paymentIntents.create(hold, options)),
    );
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    expect(await totals()).toMatchObject({ totals: [{ intents: 1, heldCents: 4900 }] });
  });

  test("a decline is stored too: the same key does not try the card again", async () => {
    const declined = { ...hold, payment_method: "pm_card_chargeDeclined" };
    const first = await refusalOf(stripe.paymentIntents.create(declined, options));
    await control("PUT", "/_control/cards/pm_card_chargeDeclined", { body: { behaviour: "approve" } });
    const again = await refusalOf(stripe.paymentIntents.create(declined, options));
    expect(again.payment_intent?.id).toBe(first.payment_intent?.id);
    expect(await totals()).toMatchObject({ totals: [{ intents: 1, declines: 1 }] });
  });

  test("the same key with other parameters, or on another call, is an idempotency_error", async () => {
    const intent = await stripe.paymentIntents.create(hold, options);
    const other = await refusalOf(stripe.paymentIntents.create({ ...hold, amount: 1 }, options));
    expect(other).toBeInstanceOf(Stripe.errors.StripeIdempotencyError);
    expect(other.statusCode).toBe(400);
    expect(await refusalOf(stripe.paymentIntents.capture(intent.id, {}, options))).toBeInstanceOf(
      Stripe.errors.StripeIdempotencyError,
    );
    expect(await totals()).toMatchObject({ totals: [{ intents: 1, capturedCents: 0 }] });
  });

  test("after a day the key is forgotten, and only the metadata still find the payment", async () => {
    const first = await stripe.paymentIntents.create(hold, options);
    now = new Date(now.getTime() + dayMs);
    const second = await stripe.paymentIntents.create(hold, options);
    expect(second.id).not.toBe(first.id);
    const found = await stripe.paymentIntents.search({ query: "metadata['reference']:'act-1'" });
    expect(found.data.map(({ id }) => id)).toEqual([second.id, first.id]);
  });
});

describe("finding payments again", () => {
  test("intents are listed by customer, newest first, page by page", async () => {
    const customer = await stripe.customers.create({ name: "Ana" });
    const made: string[] = [];
    for (let n = 0; n < 5; n++)
      made.unshift((await stripe.paymentIntents.create({ ...hold, customer: customer.id })).id);
    await stripe.paymentIntents.create(hold);
    const page = await stripe.paymentIntents.list({ customer: customer.id, limit: 2 });
    expect(page).toMatchObject({ object: "list", has_more: true });
    expect(page.data.map(({ id }) => id)).toEqual(made.slice(0, 2));
    const all = await stripe.paymentIntents
      .list({ customer: customer.id, limit: 2 })
      .autoPagingToArray({ limit: 100 });
    expect(all.map(({ id }) => id)).toEqual(made);
    const back = await stripe.paymentIntents.list({
      customer: customer.id,
      ending_before: made[2] ?? "",
      limit: 1,
    });
    expect(back.data.map(({ id }) => id)).toEqual([made[1]]);
    const expanded = await stripe.paymentIntents.list({ limit: 1, expand: ["data.latest_charge"] });
    expect(expanded.data[0]?.latest_charge).toMatchObject({ object: "charge" });
  });

  test.each([
    ["metadata['reference']:'act-1'", 2],
    ['metadata["reference"]:"act-1"', 2],
    ["metadata['reference']:'act-1' AND status:'requires_capture'", 1],
    ["metadata['reference']:'it\\'s'", 1],
    ["metadata['reference']:'act'", 0],
    ["status:'canceled'", 1],
  ])("the search %s finds %d", async (query, count) => {
    await stripe.paymentIntents.create(hold);
    const canceled = await stripe.paymentIntents.create(hold);
    await stripe.paymentIntents.cancel(canceled.id);
    await stripe.paymentIntents.create({ ...hold, metadata: { reference: "it's" } });
    expect((await stripe.paymentIntents.search({ query })).data).toHaveLength(count);
  });

  test.each([
    "reference:'x'",
    "metadata['reference']:'x' OR status:'succeeded'",
    "metadata['reference']~'x'",
    "x",
  ])("the search %s is not understood and says so", async (query) => {
    expect(await refusalOf(stripe.paymentIntents.search({ query }))).toMatchObject({ param: "query" });
  });
});

describe("webhooks", () => {
  const verify = (body: string, signature: string, key: string) =>
    stripe.webhooks.constructEvent(body, signature, key);

  test("the SDK accepts the signature, and refuses it for a changed body or another secret", async () => {
    const intent = await stripe.paymentIntents.create(hold, { idempotencyKey: "key-1" });
    const { headers, body, path } = await receiver.waitFor(() => true);
    const signature = String(headers["stripe-signature"]);
    const event = verify(body, signature, secret);
    expect(path).toBe("/webhooks/payments");
    expect(event).toMatchObject({
      object: "event",
      type: "payment_intent.amount_capturable_updated",
      data: { object: { id: intent.id, status: "requires_capture" } },
      request: { idempotency_key: "key-1" },
    });
    expect(() => verify(body.replace("4900", "4901"), signature, secret)).toThrow();
    expect(() => verify(body, signature, "whsec_other")).toThrow();
  });

  test("a 500 is tried again with the same event, and the order of one payment is kept", async () => {
    let refusals = 2;
    receiver.answerWith(() => (refusals-- > 0 ? 500 : 200));
    const intent = await stripe.paymentIntents.create(hold);
    await stripe.paymentIntents.capture(intent.id);
    await receiver.waitFor((webhook) => typeOf(webhook) === "payment_intent.succeeded");
    expect(receiver.received.map((webhook) => [typeOf(webhook), webhook.status])).toEqual([
      ["payment_intent.amount_capturable_updated", 500],
      ["payment_intent.amount_capturable_updated", 500],
      ["payment_intent.amount_capturable_updated", 200],
      ["payment_intent.succeeded", 200],
    ]);
    expect(new Set(receiver.received.slice(0, 3).map(({ body }) => body)).size).toBe(1);
  });
});

describe("knobs", () => {
  const options = { idempotencyKey: "pay-act-1" };

  test("it charged and never answered; the same key gets the first result, one charge", async () => {
    await setFaults({ timeOutAfterDoingNext: { count: 1 } });
    const timedOut = await refusalOf(stripe.paymentIntents.create(hold, { ...options, timeout: 1_000 }));
    expect(timedOut).toBeInstanceOf(Stripe.errors.StripeConnectionError);
    expect(await totals()).toMatchObject({ totals: [{ intents: 1, heldCents: 4900 }] });
    const again = await stripe.paymentIntents.create(hold, options);
    expect(again.lastResponse.headers["idempotent-replayed"]).toBe("true");
    expect(again).toMatchObject({ status: "requires_capture", metadata: { reference: "act-1" } });
    expect(await totals()).toMatchObject({ totals: [{ intents: 1, heldCents: 4900 }] });
  });

  test("it neither charged nor answered; the same key charges once", async () => {
    await setFaults({ timeOutBeforeDoingNext: { count: 1 } });
    const timedOut = await refusalOf(stripe.paymentIntents.create(hold, { ...options, timeout: 1_000 }));
    expect(timedOut).toBeInstanceOf(Stripe.errors.StripeConnectionError);
    expect(await totals()).toEqual({ totals: [] });
    const again = await stripe.paymentIntents.create(hold, options);
    expect(again.lastResponse.headers["idempotent-replayed"]).toBeUndefined();
    expect(await totals()).toMatchObject({ totals: [{ intents: 1, heldCents: 4900 }] });
  });

  test("a card loses a number of requests, or of answers, and then does something else", async () => {
    const lossy = { ...hold, payment_method: "pm_lossy" };
    await control("PUT", "/_control/cards/pm_lossy", {
      body: { behaviour: "loseRequest", times: 1, afterwards: "decline" },
    });
    const first = await refusalOf(stripe.paymentIntents.create(lossy, { ...options, timeout: 1_000 }));
    expect(first).toBeInstanceOf(Stripe.errors.StripeConnectionError);
    expect(await totals()).toEqual({ totals: [] });
    expect(await refusalOf(stripe.paymentIntents.create(lossy, options))).toMatchObject({
      code: "card_declined",
    });
    await control("PUT", "/_control/cards/pm_lossy", { body: { behaviour: "loseAnswer", times: 1 } });
    const other = { ...options, idempotencyKey: "another" };
    expect(await refusalOf(stripe.paymentIntents.create(lossy, { ...other, timeout: 1_000 }))).toBeInstanceOf(
      Stripe.errors.StripeConnectionError,
    );
    expect(await totals()).toMatchObject({ totals: [{ declines: 1, heldCents: 4900 }] });
    expect(await stripe.paymentIntents.create(lossy, other)).toMatchObject({ status: "requires_capture" });
  });

  test("failNext answers in Stripe's envelope and does nothing", async () => {
    await setFaults({ failNext: { count: 1, status: 503 } });
    expect(await refusalOf(stripe.paymentIntents.create(hold))).toMatchObject({
      type: "StripeAPIError",
      statusCode: 503,
    });
    await setFaults({ failNext: { count: 1, status: 429 } });
    expect(await refusalOf(stripe.paymentIntents.create(hold))).toBeInstanceOf(
      Stripe.errors.StripeRateLimitError,
    );
    expect(await totals()).toEqual({ totals: [] });
  });

  test("latencyMs makes a client in a hurry give up", async () => {
    await setFaults({ latencyMs: 60_000 });
    const call = stripe.paymentIntents.create(hold, { ...options, timeout: 100 });
    expect(await refusalOf(call)).toBeInstanceOf(Stripe.errors.StripeConnectionError);
  });
});

test("after a restart payments, turned cards and idempotency keys are as before", async () => {
  const options = { idempotencyKey: "pay-act-1" };
  const intent = await stripe.paymentIntents.create(hold, options);
  await control("PUT", "/_control/cards/pm_card_mastercard", { body: { behaviour: "decline" } });
  const before = await totals();
  await gateway.close();
  await start();
  expect(await totals()).toEqual(before);
  expect((await stripe.paymentIntents.create(hold, options)).id).toBe(intent.id);
  expect(
    await refusalOf(stripe.paymentIntents.create({ ...hold, payment_method: "pm_card_mastercard" })),
  ).toMatchObject({ code: "card_declined" });
  expect(await stripe.paymentIntents.capture(intent.id)).toMatchObject({ status: "succeeded" });
  const store = await control("GET", "/_control/store");
  expect(store.body).toMatchObject({ paymentIntents: [{ id: intent.id }, {}] });
});

describe("charge-backs", () => {
  async function capture(reference: string) {
    return stripe.paymentIntents.create({
      ...hold,
      capture_method: "automatic",
      metadata: { reference },
    });
  }
  const dispute = (reference: string, reason?: string) =>
    control("POST", "/_control/disputes", {
      body: { reference, ...(reason === undefined ? {} : { reason }) },
    });

  test("a bank takes a captured charge back; it is told, listed, and can be neither refunded nor disputed again", async () => {
    const intent = await capture("act-disputed");
    const opened = await dispute("act-disputed", "unrecognized");
    expect(opened).toMatchObject({
      status: 201,
      body: { amount: 4900, payment_intent: intent.id, reason: "unrecognized", status: "needs_response" },
    });
    await receiver.waitFor((webhook) => typeOf(webhook) === "charge.dispute.created");
    await receiver.waitFor((webhook) => typeOf(webhook) === "charge.dispute.funds_withdrawn");
    const listed = await stripe.disputes.list({ payment_intent: intent.id });
    expect(listed.data).toMatchObject([{ amount: 4900, status: "needs_response" }]);
    expect(await stripe.disputes.retrieve(listed.data[0]?.id ?? "")).toEqual(listed.data[0]);
    expect(await refusalOf(stripe.refunds.create({ payment_intent: intent.id }))).toMatchObject({
      code: "charge_disputed",
    });
    expect((await dispute("act-disputed")).status).toBe(409);
    expect(await totals()).toMatchObject({ totals: [{ capturedCents: 4900, disputedCents: 4900 }] });
  });

  test.each(["won", "lost"] as const)("the bank's last word is %s, once, and told", async (status) => {
    const intent = await capture("act-decided");
    await dispute("act-decided");
    const [opened] = (await stripe.disputes.list({ payment_intent: intent.id })).data;
    const decide = () => control("PUT", `/_control/disputes/${opened?.id}`, { body: { status } });
    expect(await decide()).toMatchObject({ status: 200, body: { status } });
    expect((await decide()).status).toBe(409);
    await receiver.waitFor((webhook) => typeOf(webhook) === "charge.dispute.closed");
    expect(await totals()).toMatchObject({ totals: [{ disputedCents: status === "won" ? 0 : 4900 }] });
  });

  test("a payment that was only held, or was given back, cannot be charged back", async () => {
    await stripe.paymentIntents.create({ ...hold, metadata: { reference: "act-held" } });
    expect((await dispute("act-held")).status).toBe(409);
    const intent = await capture("act-given-back");
    await stripe.refunds.create({ payment_intent: intent.id });
    expect((await dispute("act-given-back")).status).toBe(409);
  });
});
