import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TransportWebhook, transportWebhookSchema } from "@caas/contract/webhooks.ts";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import { errorMessage, type PartnerClient, partnerClient } from "../client.ts";
import { assignVin } from "../factory/assign-vin.ts";
import type { RunningPartner } from "../shared/partner.ts";
import { startWebhookReceiver, typeOf, type WebhookReceiver } from "../testing/webhook-receiver.ts";
import { startTransport, type TransportPace } from "./server.ts";

const secret = "whsec_dHJhbnNwb3J0LXdlYmhvb2stc2VjcmV0";
const vin = assignVin(1);
const order = {
  vin,
  date: "2026-11-09",
  destination: { street: "Calle Mayor 1", city: "Zaragoza", postalCode: "50001", country: "ES" },
  contactPhone: "+34600000000",
};
const folder = mkdtempSync(join(tmpdir(), "transport-"));
let storeNumber = 0;
let receiver: WebhookReceiver;
let transport: RunningPartner;
let call: PartnerClient;

beforeEach(async () => {
  storeNumber += 1;
  receiver = await startWebhookReceiver();
});
afterEach(async () => {
  await transport.close();
  await receiver.close();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function start(pace: TransportPace = { mode: "manual" }) {
  transport = await startTransport({
    port: 0,
    storePath: join(folder, `${storeNumber}.db`),
    apiKey: "transport-key",
    webhook: { baseUrl: receiver.url, secret, retryBaseMs: 1 },
    pace,
    clock: { now: () => new Date("2026-11-02T09:00:00Z") },
  });
  call = partnerClient(transport.url, "transport-key");
}

const arrange = (reference: string, idempotencyKey?: string) =>
  call("POST", "/v1/transports", {
    body: { reference, ...order },
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  });
const idOf = (body: unknown) => z.looseObject({ transportId: z.string() }).parse(body).transportId;
const step = (id: string, body: object) => call("POST", `/_control/transports/${id}/steps`, { body });
const eventOf = (webhook: { body: string }): TransportWebhook =>
  transportWebhookSchema.parse(JSON.parse(webhook.body));

test("a transport is scheduled with date, driver and route, and found by the platform's reference [SY12, DO9]", async () => {
  await start();
  const arranged = await arrange("exp-1");
  expect(arranged.status).toBe(201);
  expect(arranged.body).toMatchObject({
    transportId: "tr_000001",
    reference: "exp-1",
    date: "2026-11-09",
    driver: expect.stringMatching(/\w+ \w+/),
    route: ["Factory gate 2", "Vehicle logistics centre", "Calle Mayor 1, 50001 Zaragoza"],
    status: "scheduled",
  });
  expect((await call("GET", "/v1/transports?reference=exp-1")).body).toEqual({ transports: [arranged.body] });
  expect((await call("GET", "/v1/transports?reference=exp-2")).body).toEqual({ transports: [] });
});

test("the same reference or idempotency key again is the same transport", async () => {
  await start();
  const first = await arrange("exp-1", "key-1");
  const byKey = await arrange("exp-1", "key-1");
  expect([byKey.status, byKey.body]).toEqual([201, first.body]);
  const byReference = await arrange("exp-1");
  expect([byReference.status, byReference.body]).toEqual([200, first.body]);
  expect((await arrange("exp-2", "key-1")).status).toBe(422);
});

test("by itself it drives, finds the customer and tells each step once, in order and signed [DO10, DO22]", async () => {
  await start({ mode: "auto", stepDelayMs: 0, outcome: "customerPresent" });
  const transportId = idOf((await arrange("exp-1")).body);
  const last = await receiver.waitFor((webhook) => typeOf(webhook) === "transport.contacted");
  expect(receiver.acknowledgedTypes()).toEqual([
    "transport.started",
    "transport.arrived",
    "transport.contacted",
  ]);
  expect(last.path).toBe("/webhooks/transport");
  const signed = {
    "webhook-id": String(last.headers["webhook-id"]),
    "webhook-timestamp": String(last.headers["webhook-timestamp"]),
    "webhook-signature": String(last.headers["webhook-signature"]),
  };
  new Webhook(secret).verify(last.body, signed);
  expect(receiver.received.map(eventOf).at(-1)?.data).toEqual({
    transportId,
    reference: "exp-1",
    vin,
    outcome: "customerPresent",
    receivedBy: "the customer",
  });
  expect((await call("GET", "/v1/transports?reference=exp-1")).body).toMatchObject({
    transports: [{ status: "delivered" }],
  });
});

test("with nobody at home it brings the car back to the dealership [FA8, LF7]", async () => {
  await start();
  await call("PUT", "/_control/pace", { body: { mode: "auto", outcome: "customerAbsent" } });
  await arrange("exp-1");
  await receiver.waitFor((webhook) => typeOf(webhook) === "transport.returned");
  expect(receiver.received.map(eventOf).map(({ type }) => type)).toEqual([
    "transport.started",
    "transport.arrived",
    "transport.contacted",
    "transport.returned",
  ]);
  expect(receiver.received.map(eventOf)[2]?.data).toMatchObject({
    outcome: "customerAbsent",
    receivedBy: null,
  });
});

test("a step is only followed by the next once the platform took it", async () => {
  await start({ mode: "auto", stepDelayMs: 0, outcome: "customerPresent" });
  let refusals = 2;
  receiver.answerWith((webhook) => (typeOf(webhook) === "transport.started" && refusals-- > 0 ? 500 : 204));
  await arrange("exp-1");
  await receiver.waitFor((webhook) => typeOf(webhook) === "transport.contacted");
  expect(receiver.received.map(({ status }) => status)).toEqual([500, 500, 204, 204, 204]);
});

test("on manual pace steps come on command and only in their order", async () => {
  await start();
  const id = idOf((await arrange("exp-1")).body);
  const early = await step(id, { step: "arrived" });
  expect(early.status).toBe(409);
  expect(errorMessage(early)).toContain("the next step is started");
  await step(id, { step: "started" });
  await step(id, { step: "arrived" });
  const contacted = await step(id, { step: "contacted", receivedBy: "Luis Ruiz" });
  expect(contacted.body).toMatchObject({ status: "delivered", receivedBy: "Luis Ruiz" });
  expect((await step(id, { step: "returned" })).status, "a delivered car does not come back").toBe(409);
  expect((await step("tr_none", { step: "started" })).status).toBe(404);
  await receiver.waitFor((webhook) => typeOf(webhook) === "transport.contacted");
});

test.each([
  ["a day that does not exist", { date: "2026-02-30" }, "date"],
  ["a destination without a city", { destination: { ...order.destination, city: "" } }, "destination.city"],
  ["a field it does not know", { price: 1 }, "price"],
])("%s is refused, naming the field", async (_what, change, field) => {
  await start();
  const answer = await call("POST", "/v1/transports", { body: { reference: "exp-1", ...order, ...change } });
  expect(answer.status).toBe(400);
  expect(errorMessage(answer)).toContain(`${field}: `);
});

test("it fails, or schedules without ever answering; the reference then finds the one transport [FA15]", async () => {
  await start();
  await call("PUT", "/_control/faults", {
    body: { failNext: { count: 1, status: 503 }, timeOutAfterDoingNext: { count: 1 } },
  });
  expect((await arrange("exp-1")).status).toBe(503);
  const unanswered = call("POST", "/v1/transports", {
    body: { reference: "exp-1", ...order },
    signal: AbortSignal.timeout(300),
  });
  await expect(unanswered).rejects.toThrow();
  const found = await call("GET", "/v1/transports?reference=exp-1");
  expect(found.body).toMatchObject({ transports: [{ transportId: "tr_000001" }] });
  expect((await arrange("exp-1")).status).toBe(200);
});

test("a transport under way goes on after a restart", async () => {
  await start();
  const id = idOf((await arrange("exp-1")).body);
  await step(id, { step: "started" });
  await receiver.waitFor((webhook) => typeOf(webhook) === "transport.started");
  await transport.close();
  await start({ mode: "auto", stepDelayMs: 0, outcome: "customerPresent" });
  await receiver.waitFor((webhook) => typeOf(webhook) === "transport.contacted");
  expect(new Set(receiver.acknowledgedTypes())).toEqual(
    new Set(["transport.started", "transport.arrived", "transport.contacted"]),
  );
});

test("a transport is called off until it has arrived, is found so, and tells nothing more [N1]", async () => {
  await start();
  const id = idOf((await arrange("exp-1")).body);
  const callOff = (transportId: string) =>
    call("POST", `/v1/transports/${transportId}/cancellation`, { body: {} });
  expect(await callOff(id)).toMatchObject({ status: 200, body: { status: "calledOff" } });
  expect(await callOff(id)).toMatchObject({ status: 200, body: { status: "calledOff" } });
  expect((await call("GET", "/v1/transports?reference=exp-1")).body).toMatchObject({
    transports: [{ status: "calledOff" }],
  });
  expect((await step(id, { step: "started" })).status).toBe(409);

  const late = idOf((await arrange("exp-2")).body);
  for (const name of ["started", "arrived"]) await step(late, { step: name });
  expect(await callOff(late)).toMatchObject({ status: 409, body: { error: { code: "too_late" } } });
  expect((await callOff("tr_999999")).status).toBe(404);
});

test("the knob refuseNext refuses with the reason it was given, and nothing is done", async () => {
  await start();
  const refuseNext = { count: 1, status: 422, code: "no_lorry", message: "nothing is free that day" };
  await call("PUT", "/_control/faults", { body: { refuseNext } });
  expect(await arrange("exp-1")).toMatchObject({
    status: 422,
    body: { error: { code: "no_lorry", message: "nothing is free that day" } },
  });
  expect((await call("GET", "/v1/transports?reference=exp-1")).body).toEqual({ transports: [] });
  expect((await arrange("exp-1")).status).toBe(201);
});

test("the knob oddWebhooks sends what another release would: an offset, new fields, nulls, an unknown type [F15, F16]", async () => {
  await start();
  await call("PUT", "/_control/faults", { body: { oddWebhooks: true } });
  const id = idOf((await arrange("exp-1")).body);
  await step(id, { step: "started" });
  const started = await receiver.waitFor((webhook) => typeOf(webhook) === "transport.started");
  expect(receiver.received.map(typeOf)).toEqual(["transport.delayed", "transport.started"]);
  expect(JSON.parse(started.body)).toMatchObject({
    occurredAt: "2026-11-02T10:00:00.000+01:00",
    apiVersion: "2027-01",
    data: { reference: "exp-1", remark: null },
  });
});

test("a car with a European VIN without a North American check digit is transported [F1]", async () => {
  await start();
  const answer = await call("POST", "/v1/transports", {
    body: { reference: "tra-european", ...order, vin: "YV1MC5851CJ000001" },
  });
  expect(answer.status).toBe(201);
});
