import { pino } from "pino";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { createTestDatabase, type TestDatabase } from "../../test/servers/database.ts";
import type { Context } from "../lifecycle/context.ts";
import { type OpenDatabase, openDatabase } from "../store/database.ts";
import type { JobHandler } from "../store/jobs.ts";
import { runDueJobs } from "../testing/run-due-jobs.ts";
import { refuse } from "./refusal.ts";
import { createServer, type Http } from "./server.ts";
import { createSender, judgeMessages, messageTries, readReferenced } from "./webhook-messages.ts";
import { verifyStandardWebhook, verifyStripeWebhook } from "./webhook-signatures.ts";
import { addWebhook } from "./webhooks.ts";

const current = `whsec_${Buffer.from("the secret that is in use today").toString("base64")}`;
const retiring = `whsec_${Buffer.from("the secret it is about to replace").toString("base64")}`;
const foreign = `whsec_${Buffer.from("a secret nobody here has given out").toString("base64")}`;
const gatewaySecret = "whsec_gateway";

const eventSchema = z.object({
  type: z.literal("order.noted"),
  data: z.object({ reference: z.string(), text: z.string() }),
});
const realNow = () => new Date();
const logger = pino({ level: "silent" });

let database: TestDatabase;
let opened: OpenDatabase;
let server: Http;
let jobs: JobHandler[];
let handled: string[] = [];
let tasks: object[] = [];
let counted: string[] = [];
let answer: "done" | "refused" | "broken" = "done";

beforeAll(async () => {
  database = await createTestDatabase("webhooks");
  opened = openDatabase(database.url, 20, () => undefined);
  const { db } = opened;
  server = await createServer({ logger, version: "0.0.0-test" });
  const context: Context = {
    db,
    clock: { now: realNow },
    realClock: { now: realNow },
    publish: async (_tx, name, events) => {
      if (name === "taskNeeded") tasks.push(...events);
    },
    random: Math.random,
    logger,
  };
  const sender = createSender({
    source: "factory",
    name: "hearTestSender",
    event: eventSchema,
    read: readReferenced(eventSchema, new Set(["order.noted"])),
    count: {
      webhookHeard: (source, outcome) => counted.push(`${source} ${outcome}`),
      webhookIgnored: (source, reason) => counted.push(`${source} ${reason}`),
    },
  });
  addWebhook(
    { server, db },
    {
      url: "/webhooks/factory",
      summary: "Test sender",
      verify: verifyStandardWebhook([current, retiring], { now: realNow }),
      schema: eventSchema,
      sender,
      // Long enough for all requests of a test to be one batch.
      lingerMs: 20,
    },
  );
  jobs = [
    judgeMessages(
      context,
      sender,
      {
        async run(tx, { data: { reference, text } }) {
          if (reference === "theirs") return { kind: "foreign" };
          // What a refusal or an error must undo.
          await tx
            .insertInto("timers")
            .values({ kind: text, subject_id: subject, due_at: realNow() })
            .execute();
          if (answer === "refused") return refuse("ruleRefused", "not now");
          if (answer === "broken") throw new Error("broken");
          handled.push(text);
          return { kind: "done" };
        },
      },
      async (_tx, reference) => (reference === "ours" ? { vehicleId: subject } : null),
    ),
  ];
});
afterAll(async () => {
  await server?.close();
  await opened?.close();
  await database?.drop();
});
beforeEach(async () => {
  handled = [];
  tasks = [];
  counted = [];
  answer = "done";
  for (const table of ["jobs", "timers"] as const) await opened.db.deleteFrom(table).execute();
});

const subject = "01999999-0000-7000-8000-000000000000";

function send(body: string, options: { id: string; secret?: string; at?: Date; tampered?: string }) {
  const at = options.at ?? realNow();
  return server.inject({
    method: "POST",
    url: "/webhooks/factory",
    headers: {
      "content-type": "application/json",
      "webhook-id": options.id,
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new Webhook(options.secret ?? current).sign(options.id, at, body),
    },
    payload: options.tampered ?? body,
  });
}
const noted = (text: string, reference = "ours") =>
  JSON.stringify({ type: "order.noted", data: { reference, text } });
const judge = () => runDueJobs(opened.pool, jobs, logger);
const stored = (id: string) =>
  opened.db.selectFrom("received_webhooks").where("id", "=", id).selectAll().executeTakeFirst();
const waiting = () => opened.db.selectFrom("jobs").select(["attempts", "due_at", "last_error"]).execute();

/** Judges it again as if its waiting time were over; the seconds that it would have waited. */
async function judgeLater(): Promise<number> {
  const [job] = await waiting();
  const waitedMs = (job?.due_at.getTime() ?? 0) - Date.now();
  await opened.pool.query("update jobs set due_at = now()");
  await judge();
  return waitedMs / 1_000;
}

describe("a webhook [fault 25]", () => {
  test("is taken once, however often it is delivered, also 20 times at once", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(noted("a"), { id: "msg_a" })));
    expect(answers.map((each) => each.statusCode)).toEqual(Array(20).fill(200));
    expect(answers.filter((each) => each.json().duplicate === false)).toHaveLength(1);
    expect(await judge()).toBe(0);
    expect((await send(noted("a"), { id: "msg_a" })).json()).toEqual({ received: true, duplicate: true });
    expect(await judge()).toBe(0);
    expect(handled).toEqual(["a"]);
    expect(counted.filter((one) => one === "factory received")).toHaveLength(1);
  });

  test("is stored as it came before it is answered, and judged afterwards", async () => {
    expect((await send(noted("b"), { id: "msg_b1" })).json()).toEqual({ received: true, duplicate: false });
    expect(handled).toEqual([]);
    expect(await stored("msg_b1")).toMatchObject({
      source: "factory",
      type: "order.noted",
      body: noted("b"),
    });
    await judge();
    expect(handled).toEqual(["b"]);
    expect(await stored("msg_b1")).toMatchObject({ failure: null, failed_at: null });
  });

  test("of a sender is judged after the one before it", async () => {
    const texts = Array.from({ length: 40 }, (_, index) => `in order ${index}`);
    for (const text of texts.slice(0, 20)) await send(noted(text), { id: text });
    await Promise.all(texts.slice(20).map((text) => send(noted(text), { id: text })));
    await judge();
    expect(handled).toEqual(texts);
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
      () => server.inject({ method: "POST", url: "/webhooks/factory", payload: JSON.parse(noted("f")) }),
    ],
  ] as const;
  test.each(forgeries)("%s is refused with 401 and is not stored", async (_what, deliver) => {
    const reply = await deliver();
    expect(reply.statusCode).toBe(401);
    expect(reply.json()).toMatchObject({ code: "signatureInvalid" });
    await judge();
    expect(handled).toEqual([]);
    expect(await stored("msg_f")).toBeUndefined();
    expect(counted).toEqual(["factory forged"]);
  });

  test("299 s old is taken", async () => {
    expect((await send(noted("c"), { id: "msg_c", at: new Date(Date.now() - 298_000) })).statusCode).toBe(
      200,
    );
  });
});

describe("a genuine webhook is never refused", () => {
  test.each([
    ["of a type we do not know", JSON.stringify({ type: "order.delayed", data: {} }), "unknownType"],
    ["about nothing of ours", noted("x", "theirs"), "foreign"],
    ["that is no JSON", "{", "unreadable"],
    ["that is null", "null", "unreadable"],
    ["without a type", "{}", "unreadable"],
    ["whose type is a number", JSON.stringify({ type: 7 }), "unreadable"],
    [
      "that lacks a field and is about nothing of ours",
      JSON.stringify({ type: "order.noted", data: { reference: "theirs" } }),
      "unreadable",
    ],
  ])("one %s is answered 200, stored, counted and ignored [F16]", async (what, body, reason) => {
    const reply = await send(body, { id: what });
    expect(reply.statusCode).toBe(200);
    expect(reply.json()).toEqual({ received: true, duplicate: false });
    expect(await judge()).toBe(0);
    expect(await stored(what)).toMatchObject({ body });
    expect(counted).toEqual(["factory received", `factory ${reason}`]);
    expect([handled, tasks, await waiting()]).toEqual([[], [], []]);
  });

  test("one of ours that lacks a field is a task that names the field", async () => {
    const body = JSON.stringify({ type: "order.noted", data: { reference: "ours", text: 7 } });
    expect((await send(body, { id: "msg_l" })).statusCode).toBe(200);
    expect(await judge()).toBe(0);
    expect(tasks).toMatchObject([
      {
        kind: "messageNotTaken",
        facts: { partner: "factory", type: "order.noted" },
        detail: { id: "msg_l", reason: expect.stringContaining("data.text"), message: body },
        subject: { vehicleId: subject },
      },
    ]);
    expect(await stored("msg_l")).toMatchObject({ failure: expect.stringContaining("data.text") });
  });

  test("unknown fields are ignored [F15]", async () => {
    const body = JSON.stringify({ ...JSON.parse(noted("u")), state: "Delivered", version: 2 });
    expect((await send(body, { id: "msg_u" })).statusCode).toBe(200);
    await judge();
    expect(handled).toEqual(["u"]);
  });

  test("text that no database stores is made storable, in the message and in what follows from it", async () => {
    const body = noted("a\u0000b\ud83d!");
    expect(body).toContain("\\u0000");
    expect((await send(body, { id: "msg_n" })).statusCode).toBe(200);
    expect(await judge()).toBe(0);
    expect(handled).toEqual(["a\ufffdb\ufffd!"]);
  });

  test("an id of any length names one message", async () => {
    const ids = ["i".repeat(5_000), `${"i".repeat(4_999)}j`];
    for (const id of [...ids, ...ids]) expect((await send(noted(id.slice(-1)), { id })).statusCode).toBe(200);
    await judge();
    expect(handled).toEqual(["i", "j"]);
  });
});

describe("a message that the rules refuse for now", () => {
  test("is answered 200, has changed nothing, and is taken when we judge it again [test gap webhooks 126]", async () => {
    answer = "refused";
    expect((await send(noted("e"), { id: "msg_e" })).statusCode).toBe(200);
    expect(await judge()).toBe(1);
    expect(await opened.db.selectFrom("timers").selectAll().execute()).toEqual([]);
    answer = "broken";
    await judgeLater();
    expect(await opened.db.selectFrom("timers").selectAll().execute()).toEqual([]);
    answer = "done";
    await judgeLater();
    expect(handled).toEqual(["e"]);
    expect([tasks, await waiting()]).toEqual([[], []]);
  });

  test("costs the messages beside it nothing", async () => {
    answer = "refused";
    await send(noted("bad"), { id: "msg_bad" });
    await judge();
    answer = "done";
    await send(noted("good"), { id: "msg_good" });
    await judge();
    expect(handled).toEqual(["good"]);
  });

  test("waits longer each time, and in the end is a person's task with the reason", async () => {
    answer = "refused";
    await send(noted("never"), { id: "msg_z" });
    await judge();
    const waits: number[] = [];
    while ((await waiting()).length > 0) waits.push(await judgeLater());
    expect(waits).toHaveLength(messageTries - 1);
    expect(waits.every((wait, index) => wait > 2 * (waits[index - 1] ?? 0))).toBe(true);
    const reason = "not now";
    expect(tasks).toMatchObject([
      {
        kind: "messageNotTaken",
        detail: { source: "factory", id: "msg_z", reason },
        subject: { vehicleId: subject },
      },
    ]);
    expect(await stored("msg_z")).toMatchObject({ failure: reason, failed_at: expect.any(Date) });
    expect(counted).toContain("factory failed");
  });

  test("also one whose handling fails for good is a task in the end", async () => {
    answer = "broken";
    await send(noted("never"), { id: "msg_y" });
    await judge();
    while ((await waiting()).length > 0) await judgeLater();
    expect(tasks).toMatchObject([{ detail: { reason: "broken" } }]);
  });
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

  test.each(["null", "{}", '{"id":7}', "{"])("over %s is genuine, without an id", (payload) => {
    const header = Stripe.webhooks.generateTestHeaderString({ payload, secret: gatewaySecret });
    expect(verify({ "stripe-signature": header }, payload)).toEqual({ kind: "genuine", id: null });
  });
});
