import { randomUUID } from "node:crypto";
import Stripe from "stripe";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { partnerClient } from "../client.ts";
import type { RunningPartner } from "../shared/partner.ts";
import { startWebhookReceiver, type WebhookReceiver } from "../testing/webhook-receiver.ts";
import { startGateway } from "./server.ts";

const apiKey = "sk_test_by_hand";
let gateway: RunningPartner;
let receiver: WebhookReceiver;
let stripe: Stripe;
let control: ReturnType<typeof partnerClient>;
beforeAll(async () => {
  receiver = await startWebhookReceiver();
  gateway = await startGateway({
    port: 0,
    storePath: ":memory:",
    apiKey,
    webhook: { baseUrl: receiver.url, secret: "whsec_by_hand", retryBaseMs: 1 },
  });
  const { hostname, port } = new URL(gateway.url);
  stripe = new Stripe(apiKey, {
    host: hostname,
    port,
    protocol: "http",
    maxNetworkRetries: 0,
    telemetry: false,
  });
  control = partnerClient(gateway.url);
});
afterAll(async () => {
  await gateway?.close();
  await receiver?.close();
});

async function hold(): Promise<{ id: string; reference: string }> {
  const reference = randomUUID();
  const { id } = await stripe.paymentIntents.create({
    amount: 499,
    currency: "eur",
    payment_method: "pm_card_visa",
    capture_method: "manual",
    confirm: true,
    metadata: { reference },
  });
  return { id, reference };
}

/** The types of the messages about a payment, in order. */
async function announced(intentId: string): Promise<string[]> {
  const { body } = await control("GET", "/_control/webhooks");
  const all = body !== null && typeof body === "object" && "webhooks" in body ? body.webhooks : [];
  if (!Array.isArray(all)) throw new Error("no webhooks are listed");
  return all.filter(({ subject }) => subject === intentId).map(({ type }) => type);
}

const byHand = (body: object) => control("POST", "/_control/payments", { body });

describe("what a person does in the gateway's own screens", () => {
  test.each([
    ["a part of a hold", 249, 499],
    ["all of it", undefined, 499],
    ["more than it", 600, 600],
  ])("captures %s, and announces it [F10]", async (_title, amountCents, amount) => {
    const { id, reference } = await hold();
    await byHand({ reference, action: "capture", ...(amountCents === undefined ? {} : { amountCents }) });
    expect(await stripe.paymentIntents.retrieve(id)).toMatchObject({
      status: "succeeded",
      amount,
      amount_received: amountCents ?? 499,
      amount_capturable: 0,
    });
    expect(await announced(id)).toEqual([
      "payment_intent.amount_capturable_updated",
      "payment_intent.succeeded",
    ]);
  });

  test("voids a hold, once [F12]", async () => {
    const { id, reference } = await hold();
    expect((await byHand({ reference, action: "void" })).status).toBe(200);
    expect((await stripe.paymentIntents.retrieve(id)).status).toBe("canceled");
    expect((await byHand({ reference, action: "void" })).status).toBe(409);
    expect((await byHand({ reference: "nobody's", action: "capture" })).status).toBe(409);
  });
});

test("the customer's bank sends a refund back: it has failed, and its money can be given back again, once [F11]", async () => {
  const { id } = await hold();
  await stripe.paymentIntents.capture(id);
  const refund = await stripe.refunds.create({ payment_intent: id, amount: 400 });
  const fail = () => control("PUT", `/_control/refunds/${refund.id}`, { body: { status: "failed" } });
  expect((await fail()).status).toBe(200);
  expect(await stripe.refunds.retrieve(refund.id)).toMatchObject({
    status: "failed",
    failure_reason: "lost_or_stolen_card",
  });
  expect((await fail()).status).toBe(409);
  expect((await announced(id)).slice(-2)).toEqual(["refund.failed", "charge.refund.updated"]);
  expect((await stripe.refunds.create({ payment_intent: id, amount: 499 })).status).toBe("succeeded");
});
