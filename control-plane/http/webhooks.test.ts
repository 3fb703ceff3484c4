import { pino } from "pino";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { createTestDatabase, type TestDatabase } from "../../test/servers/database.ts";
import { type OpenDatabase, openDatabase } from "../store/database.ts";
import { refuse } from "./refusal.ts";
import { createServer, type Http } from "./server.ts";
import { verifyStandardWebhook, verifyStripeWebhook } from "./webhook-signatures.ts";
import { addWebhook } from "./webhooks.ts";

const current = `whsec_${Buffer.from("the secret that is in use today").toString("base64")}`;
const retiring = `whsec_${Buffer.from("the secret it is about to replace").toString("base64")}`;
const foreign = `whsec_${Buffer.from("a secret nobody here has given out").toString("base64")}`;
const gatewaySecret = "whsec_gateway";

const eventSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("order.noted"), text: z.string() }),
]);
const realNow = () => new Date();

let database: TestDatabase;
let opened: OpenDatabase;
let server: Http;
let handled: string[] = [];
let answer: "done" | "refused" | "broken" = "done";

beforeAll(async () => {
  database = await createTestDatabase("webhooks");
  opened = openDatabase(database.url, 20, () => undefined);
  const { db } = opened;
  server = await createServer({ logger: pino({ level: "silent" }), version: "0.0.0-test" });
  const routing = { server, db };
  addWebhook(routing, {
    url: "/webhooks/factory",
    source: "factory",
    summary: "Test sender",
    verify: verifyStandardWebhook([current, retiring], { now: realNow }),
    schema: eventSchema,
    async run(_tx, event) {
      if (answer === "refused") return refuse("ruleRefused", "not now");
      if (answer === "broken") throw new Error("broken");
      handled.push(event.text);
      return { kind: "done" };
    },
  });
  addWebhook(routing, {
    url: "/webhooks/transport",
    source: "transport",
    summary: "Test sender of many",
    verify: verifyStandardWebhook([current], { now: realNow }),
    schema: eventSchema,
    // Long enough for all requests of a test to be one batch.
    lingerMs: 50,
    async runMany(_tx, events) {
      handled.push(...events.map(({ text }) => text));
      return events.map(({ text }) => (text === "bad" ? refuse("ruleRefused", "not now") : { kind: "done" }));
    },
  });
});
afterAll(async () => {
  await server?.close();
  await opened?.close();
  await database?.drop();
});
beforeEach(() => {
  handled = [];
  answer = "done";
});

function send(
  body: string,
  options: { id: string; url?: string; secret?: string; at?: Date; tampered?: string },
) {
  const at = options.at ?? realNow();
  return server.inject({
    method: "POST",
    url: options.url ?? "/webhooks/factory",
    headers: {
      "content-type": "application/json",
      "webhook-id": options.id,
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new Webhook(options.secret ?? current).sign(options.id, at, body),
    },
    payload: options.tampered ?? body,
  });
}
const noted = (text: string) => JSON.stringify({ type: "order.noted", text });

describe("a webhook [fault 25]", () => {
  test("is taken once, however often it is delivered, also 20 times at once", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(noted("a"), { id: "msg_a" })));
    expect(answers.map((each) => each.statusCode)).toEqual(Array(20).fill(200));
    expect(answers.filter((each) => each.json().duplicate === false)).toHaveLength(1);
    expect(handled).toEqual(["a"]);
  });

  test("signed with the secret about to be retired is still taken", async () => {
    expect((await send(noted("b"), { id: "msg_b", secret: retiring })).statusCode).toBe(200);
  });

  const forgeries = [
    ["signed by somebody else", () => send(noted("f"), { id: "msg_f", secret: foreign })],
    ["changed on its way", () => send(noted("f"), { id: "msg_f", tampered: noted("g") })],
    ["301 s old", () => send(noted("f"), { id: "msg_f", at: new Date(Date.now() - 302_000) })],
    ["302 s from the future", () => send(noted("f"), { id: "msg_f", at: new Date(Date.now() + 302_000) })],
    [
      "without a signature",
      () =>
        server.inject({
          method: "POST",
          url: "/webhooks/factory",
          payload: { type: "order.noted", text: "f" },
        }),
    ],
  ] as const;
  test.each(forgeries)("%s is refused with 401 and has no effect", async (_what, deliver) => {
    const reply = await deliver();
    expect(reply.statusCode).toBe(401);
    expect(reply.json()).toMatchObject({ code: "signatureInvalid" });
    expect(handled).toEqual([]);
  });

  test("299 s old is taken", async () => {
    expect((await send(noted("c"), { id: "msg_c", at: new Date(Date.now() - 298_000) })).statusCode).toBe(
      200,
    );
  });

  test("of an unknown type, with an unknown field or without JSON is refused with 400 that names the field", async () => {
    const unknown = await send(JSON.stringify({ type: "order.eaten", text: "x" }), { id: "msg_d1" });
    expect(unknown.statusCode).toBe(400);
    expect(unknown.json().errors[0].field).toBe("body.type");
    const extra = await send(JSON.stringify({ type: "order.noted", text: "x", state: "Delivered" }), {
      id: "msg_d2",
    });
    expect(extra.statusCode).toBe(400);
    expect(extra.json().detail).toContain("state");
    expect((await send("{", { id: "msg_d3" })).statusCode).toBe(400);
    expect(handled).toEqual([]);
  });

  test("that the rules refuse now is answered 409 and taken when it comes again", async () => {
    answer = "refused";
    expect((await send(noted("e"), { id: "msg_e" })).statusCode).toBe(409);
    answer = "broken";
    expect((await send(noted("e"), { id: "msg_e" })).statusCode).toBe(500);
    answer = "done";
    const again = await send(noted("e"), { id: "msg_e" });
    expect(again.json()).toEqual({ received: true, duplicate: false });
    expect(handled).toEqual(["e"]);
  });
});

test("webhooks taken in one batch: a refused one is refused at each delivery and taken when it comes again", async () => {
  const deliver = async (all: readonly (readonly [id: string, text: string])[]) =>
    Promise.all(all.map(([id, text]) => send(noted(text), { id, url: "/webhooks/transport" })));
  const replies = await deliver([
    ["msg_m1", "good"],
    ["msg_m2", "bad"],
    ["msg_m2", "bad"],
    ["msg_m1", "good"],
  ]);
  expect(replies.map(({ statusCode }) => statusCode)).toEqual([200, 409, 409, 200]);
  expect([replies[0]?.json().duplicate, replies[3]?.json().duplicate]).toEqual([false, true]);
  expect(handled).toEqual(["good", "bad"]);
  const again = await deliver([
    ["msg_m2", "good"],
    ["msg_m1", "good"],
  ]);
  expect(again.map((reply) => reply.json().duplicate)).toEqual([false, true]);
});

describe("the payment gateway's signature", () => {
  const body = JSON.stringify({ id: "evt_1", object: "event", type: "payment_intent.succeeded" });
  const verify = verifyStripeWebhook([gatewaySecret, "whsec_old"], { now: realNow });
  const sign = (secret: string, ageSeconds = 0) =>
    Stripe.webhooks.generateTestHeaderString({
      payload: body,
      secret,
      timestamp: Math.floor(Date.now() / 1000) - ageSeconds,
    });

  test.each([
    ["with the secret in use", sign(gatewaySecret), body, { kind: "genuine", id: "evt_1" }],
    ["with the secret about to be retired", sign("whsec_old"), body, { kind: "genuine", id: "evt_1" }],
    ["with another secret", sign("whsec_foreign"), body, { kind: "forged" }],
    ["over another body", sign(gatewaySecret), body.replace("evt_1", "evt_2"), { kind: "forged" }],
    ["older than 300 s", sign(gatewaySecret, 302), body, { kind: "forged" }],
    ["missing", "", body, { kind: "forged" }],
  ])("%s", (_what, header, payload, verdict) => {
    expect(verify({ "stripe-signature": header }, payload)).toMatchObject(verdict);
  });
});
