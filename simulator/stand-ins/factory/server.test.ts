import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FactoryWebhook, factoryWebhookSchema } from "@caas/contract/webhooks.ts";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { errorMessage, type PartnerClient, partnerClient } from "../client.ts";
import type { RunningPartner } from "../shared/partner.ts";
import { askUntil } from "../testing/ask-until.ts";
import { startWebhookReceiver, typeOf, type WebhookReceiver } from "../testing/webhook-receiver.ts";
import { type FactoryPace, startFactory } from "./server.ts";

const apiKey = "factory-key";
const secret = "whsec_ZmFjdG9yeS13ZWJob29rLXNlY3JldA==";
const configuration = { base: "compact", options: ["heatedSeats"] };
const orderSchema = z.looseObject({ orderId: z.string(), status: z.string(), vin: z.string().nullable() });
const allEvents = [
  "order.manufacturing_started",
  "order.vin_assigned",
  "order.progressed",
  "order.progressed",
  "order.progressed",
  "order.progressed",
  "order.completed",
];

let receiver: WebhookReceiver;
let factory: RunningPartner;
let call: PartnerClient;
const folder = mkdtempSync(join(tmpdir(), "factory-"));
let storeNumber = 0;

afterAll(() => rmSync(folder, { recursive: true }));

beforeEach(async () => {
  receiver = await startWebhookReceiver();
  storeNumber += 1;
});

afterEach(async () => {
  await factory.close();
  await receiver.close();
});

async function start(pace: FactoryPace = { mode: "manual" }) {
  factory = await startFactory({
    port: 0,
    storePath: join(folder, `${storeNumber}.db`),
    apiKey,
    webhook: { baseUrl: receiver.url, secret, retryBaseMs: 1 },
    pace,
    clock: { now: () => new Date("2026-11-02T09:00:00Z") },
  });
  call = partnerClient(factory.url, apiKey);
}

const placeOrder = async (reference: string, idempotencyKey?: string) =>
  call("POST", "/v1/orders", {
    body: { reference, configuration },
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  });

const reach = (orderId: string, milestone: string) =>
  call("POST", `/_control/orders/${orderId}/milestones`, { body: { milestone } });

const enrolment = (vin: string | null, token = "a-token-of-at-least-22-characters") => ({
  vin,
  token,
  controlPlaneUrl: "http://127.0.0.1:3000",
  rootPublicKey: "A".repeat(43),
  expiresAt: "2027-01-01T00:00:00Z",
});

const eventOf = (webhook: { body: string }): FactoryWebhook =>
  factoryWebhookSchema.parse(JSON.parse(webhook.body));

async function vinFromWebhook(): Promise<string> {
  const event = eventOf(await receiver.waitFor((webhook) => typeOf(webhook) === "order.vin_assigned"));
  if (event.type !== "order.vin_assigned") throw new Error("another event");
  return event.data.vin;
}

const readStore = () => call("GET", "/_control/store");
const storedOrders = async () => {
  const { body } = await readStore();
  return z.object({ orders: z.array(z.unknown()).default([]) }).parse(body).orders;
};

describe("orders", () => {
  test("an order is accepted and found again by the platform's own reference", async () => {
    await start();
    const placed = await placeOrder("exp-1");
    expect(placed.status).toBe(201);
    expect(placed.body).toMatchObject({
      reference: "exp-1",
      configuration,
      status: "accepted",
      acceptedAt: "2026-11-02T09:00:00.000Z",
    });
    expect((await call("GET", "/v1/orders?reference=exp-1")).body).toEqual({ orders: [placed.body] });
    expect((await call("GET", "/v1/orders?reference=exp-2")).body).toEqual({ orders: [] });
  });

  test("the same reference again is the same order, not a second car", async () => {
    await start();
    const first = await placeOrder("exp-1", "key-1");
    const again = await placeOrder("exp-1", "key-2");
    expect(again.status).toBe(200);
    expect(again.body).toEqual(first.body);
    expect(await storedOrders()).toHaveLength(1);
  });

  test("50 parallel calls with one idempotency key place one order and all get its first answer", async () => {
    await start();
    const answers = await Promise.all(Array.from({ length: 50 }, () => placeOrder("exp-1", "key-1")));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(await storedOrders()).toHaveLength(1);
  });

  test("an idempotency key that comes back with another order is refused and orders nothing", async () => {
    await start();
    await placeOrder("exp-1", "key-1");
    const other = await placeOrder("exp-2", "key-1");
    expect(other.status).toBe(422);
    expect(other.body).toMatchObject({ error: { code: "idempotency_key_reused" } });
    expect(await storedOrders()).toHaveLength(1);
  });

  test.each([
    ["a missing configuration", { reference: "exp-1" }, "configuration"],
    ["an empty reference", { reference: "", configuration }, "reference"],
    ["a field it does not know", { reference: "exp-1", configuration, price: 1 }, "price"],
    [
      "an option that is no code",
      { reference: "exp-1", configuration: { base: "b", options: [7] } },
      "configuration.options.0",
    ],
    ["no body at all", undefined, "reference"],
  ])("%s is refused, naming the field", async (_what, body, field) => {
    await start();
    const answer = await call("POST", "/v1/orders", { body });
    expect(answer.status).toBe(400);
    expect(errorMessage(answer)).toMatch(new RegExp(`^${field.replaceAll(".", "\\.")}: `));
    expect(await storedOrders()).toEqual([]);
  });

  test.each([
    ["a wrong key", "another-key"],
    ["no key", undefined],
  ])("%s is refused", async (_what, key) => {
    await start();
    const answer = await partnerClient(factory.url, key)("GET", "/v1/orders?reference=exp-1");
    expect(answer.status).toBe(401);
    expect(answer.body).toMatchObject({ error: { code: "unauthorized" } });
  });
});

describe("manufacturing", () => {
  test("by itself it reports every milestone in order, and completes once the car has its identity", async () => {
    await start({ mode: "auto", milestoneDelayMs: 0 });
    const { orderId } = orderSchema.parse((await placeOrder("exp-1")).body);
    const vin = await vinFromWebhook();
    await receiver.waitFor((webhook) => webhook.body.includes("qualityCheck"));
    expect((await call("GET", "/v1/orders?reference=exp-1")).body).toMatchObject({
      orders: [{ status: "inManufacturing", vin, progressPercent: 95 }],
    });
    expect(receiver.acknowledgedTypes(), "the car cannot leave without its identity").not.toContain(
      "order.completed",
    );

    const handedOver = await call("PUT", `/v1/orders/${orderId}/enrolment`, { body: enrolment(vin) });
    expect(handedOver.status).toBe(204);
    const completed = eventOf(await receiver.waitFor((webhook) => typeOf(webhook) === "order.completed"));
    expect(completed.data).toEqual({ orderId, reference: "exp-1", vin });
    expect(receiver.acknowledgedTypes()).toEqual(allEvents);
    const progress = receiver.received.map(eventOf).filter((event) => event.type === "order.progressed");
    expect(progress.map((event) => event.data.milestone)).toEqual([
      "body",
      "paint",
      "assembly",
      "qualityCheck",
    ]);
    const percents = progress.map((event) => event.data.progressPercent);
    expect(percents).toEqual(percents.toSorted((a, b) => a - b));
  });

  test("a milestone is only followed by the next once the platform took it", async () => {
    await start({ mode: "auto", milestoneDelayMs: 0 });
    let refusals = 2;
    receiver.answerWith((webhook) =>
      typeOf(webhook) === "order.vin_assigned" && refusals-- > 0 ? 500 : 204,
    );
    await placeOrder("exp-1");
    await receiver.waitFor((webhook) => webhook.body.includes("qualityCheck"));
    expect(receiver.received.map(({ status }) => status)).toEqual([204, 500, 500, 204, 204, 204, 204, 204]);
    expect(receiver.acknowledgedTypes()).toEqual(allEvents.slice(0, 6));
  });

  test("on manual pace nothing happens by itself, and milestones come only in their order", async () => {
    await start();
    const { orderId } = orderSchema.parse((await placeOrder("exp-1")).body);
    const early = await reach(orderId, "body");
    expect(early.status).toBe(409);
    expect(errorMessage(early)).toContain("the next milestone is started");
    for (const milestone of ["started", "vinAssigned", "body", "paint", "assembly", "qualityCheck"])
      expect((await reach(orderId, milestone)).status).toBe(200);
    const withoutIdentity = await reach(orderId, "completed");
    expect(withoutIdentity.body).toMatchObject({ error: { code: "enrolment_missing" } });
    await call("PUT", `/v1/orders/${orderId}/enrolment`, { body: enrolment(await vinFromWebhook()) });
    expect((await reach(orderId, "completed")).body).toMatchObject({ status: "completed" });
    expect((await reach(orderId, "completed")).status).toBe(409);
    expect((await reach("fo_none", "started")).status).toBe(404);
  });

  test("set to automatic again, it builds on what waited", async () => {
    await start();
    await placeOrder("exp-1");
    expect(receiver.received).toEqual([]);
    await call("PUT", "/_control/pace", { body: { mode: "auto", milestoneDelayMs: 0 } });
    await receiver.waitFor((webhook) => webhook.body.includes("qualityCheck"));
    expect(receiver.acknowledgedTypes()).toEqual(allEvents.slice(0, 6));
  });

  test("after a restart orders, VINs and pace are as before and building goes on", async () => {
    await start({ mode: "auto", milestoneDelayMs: 0 });
    await placeOrder("exp-1");
    const vin = await vinFromWebhook();
    await receiver.waitFor((webhook) => webhook.body.includes("qualityCheck"));
    const { body: before } = await call("GET", "/v1/orders?reference=exp-1");
    await factory.close();
    await start({ mode: "auto", milestoneDelayMs: 0 });
    expect((await call("GET", "/v1/orders?reference=exp-1")).body).toEqual(before);
    const { orderId } = orderSchema.parse((await placeOrder("exp-2")).body);
    const second = await receiver.waitFor(
      (webhook) => typeOf(webhook) === "order.vin_assigned" && webhook.body.includes(orderId),
    );
    expect(second.body).not.toContain(vin);
  });
});

describe("enrolment", () => {
  test("the package for a car is readable where the car is, also for who asked before it came", async () => {
    await start();
    const { orderId } = orderSchema.parse((await placeOrder("exp-1")).body);
    await reach(orderId, "started");
    await reach(orderId, "vinAssigned");
    const vin = await vinFromWebhook();
    const asked = call("GET", `/_control/orders/${orderId}/enrolment`);
    const askedByVin = call("GET", `/_control/enrolments?vin=${vin}`);
    expect((await call("GET", `/_control/enrolments?vin=${vin}&timeoutMs=0`)).status).toBe(404);
    await call("PUT", `/v1/orders/${orderId}/enrolment`, { body: enrolment(vin) });
    expect((await asked).body).toEqual(enrolment(vin));
    expect((await askedByVin).body).toEqual(enrolment(vin));
  });

  test("a package for another car, or before the car has a VIN, is refused", async () => {
    await start();
    const { orderId } = orderSchema.parse((await placeOrder("exp-1")).body);
    const { orderId: otherOrder } = orderSchema.parse((await placeOrder("exp-2")).body);
    for (const id of [orderId])
      for (const milestone of ["started", "vinAssigned"]) await reach(id, milestone);
    const vin = await vinFromWebhook();
    const early = await call("PUT", `/v1/orders/${otherOrder}/enrolment`, { body: enrolment(vin) });
    expect(early.body).toMatchObject({ error: { code: "vin_mismatch" } });
    await reach(otherOrder, "started");
    await reach(otherOrder, "vinAssigned");
    const foreign = await call("PUT", `/v1/orders/${otherOrder}/enrolment`, { body: enrolment(vin) });
    expect(foreign.status).toBe(409);
    expect((await call("PUT", "/v1/orders/fo_none/enrolment", { body: enrolment(vin) })).status).toBe(404);
    const invalid = await call("PUT", `/v1/orders/${orderId}/enrolment`, { body: enrolment("NOTAVIN") });
    expect(errorMessage(invalid)).toContain("vin: ");
  });
});

describe("knobs", () => {
  const setFaults = (body: unknown) => call("PUT", "/_control/faults", { body });

  test("failNext refuses so many calls and does nothing; then all is well", async () => {
    await start();
    await setFaults({ failNext: { count: 2, status: 503 } });
    expect((await placeOrder("exp-1")).status).toBe(503);
    expect((await placeOrder("exp-1")).body).toMatchObject({ error: { code: "simulated_fault" } });
    expect(await storedOrders()).toEqual([]);
    expect((await placeOrder("exp-1")).status).toBe(201);
  });

  test("timeOutAfterDoing: the order is placed, the answer never comes, the same key finds it", async () => {
    await start();
    await setFaults({ timeOutAfterDoingNext: { count: 1 } });
    const controller = new AbortController();
    const unanswered = call("POST", "/v1/orders", {
      body: { reference: "exp-1", configuration },
      idempotencyKey: "key-1",
      signal: controller.signal,
    });
    // Once the order is in the book the work is done, and only the answer is held back.
    await askUntil(readStore, (store) => JSON.stringify(store).includes("exp-1"));
    const winner = await Promise.race([unanswered, call("GET", "/_control/faults")]);
    expect(winner.body).toEqual({ timeOutAfterDoingNext: { count: 0 } });
    controller.abort();
    await expect(unanswered).rejects.toThrow();
    const again = await placeOrder("exp-1", "key-1");
    expect(again.status).toBe(201);
    expect((await call("GET", "/v1/orders?reference=exp-1")).body).toEqual({ orders: [again.body] });
  });

  test("timeOutBeforeDoing: nothing is done and nothing answered", async () => {
    await start();
    await setFaults({ timeOutBeforeDoingNext: { count: 1 } });
    const unanswered = call("POST", "/v1/orders", {
      body: { reference: "exp-1", configuration },
      signal: AbortSignal.timeout(200),
    });
    await expect(unanswered).rejects.toThrow();
    expect((await call("GET", "/_control/faults")).body).toEqual({ timeOutBeforeDoingNext: { count: 0 } });
    expect(await storedOrders()).toEqual([]);
  });

  test("latencyMs holds the API's answers back, not the control entrance's", async () => {
    await start();
    await setFaults({ latencyMs: 60 });
    const startedAt = performance.now();
    await call("GET", "/v1/orders?reference=exp-1");
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(58);
    await setFaults({ latencyMs: 600_000 });
    expect((await call("GET", "/health")).body).toEqual({ status: "ok", partner: "factory" });
    expect((await call("DELETE", "/_control/faults")).status).toBe(204);
    expect((await placeOrder("exp-1")).status).toBe(201);
  });

  test("a knob that does not exist, or has no sense, is refused by name", async () => {
    await start();
    expect(errorMessage(await setFaults({ failNext: { count: 1, status: 200 } }))).toContain(
      "failNext.status",
    );
    expect(errorMessage(await setFaults({ explode: true }))).toContain("explode");
    expect((await call("GET", "/_control/faults")).body).toEqual({});
  });
});

test("it closes although a call is held open forever", async () => {
  await start();
  await call("PUT", "/_control/faults", { body: { timeOutBeforeDoingNext: { count: 1 } } });
  const held = placeOrder("exp-1").catch((error: unknown) => error);
  await askUntil(
    () => call("GET", "/_control/faults"),
    (faults) => JSON.stringify(faults).includes('"count":0'),
  );
  await factory.close();
  expect(await held).toBeInstanceOf(Error);
});
