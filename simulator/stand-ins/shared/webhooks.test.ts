import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startWebhookReceiver, typeOf, type WebhookReceiver } from "../testing/webhook-receiver.ts";
import { createFaults } from "./faults.ts";
import { openStore, type PartnerStore } from "./store.ts";
import { type Outbox, signAsStandardWebhook, startOutbox, type WebhookMessage } from "./webhooks.ts";

const secret = "whsec_c2ltdWxhdG9yLXdlYmhvb2stc2VjcmV0";
let receiver: WebhookReceiver;
let store: PartnerStore;
const running: Outbox[] = [];

beforeEach(async () => {
  receiver = await startWebhookReceiver();
  store = openStore(":memory:");
});

afterEach(async () => {
  for (const outbox of running.splice(0)) await outbox.close();
  store.close();
  await receiver.close();
});

function start(options: { baseUrl?: string | null; onSettled?: (message: WebhookMessage) => void } = {}) {
  const faults = createFaults();
  const outbox = startOutbox({
    store,
    path: "/webhooks/factory",
    webhook: {
      baseUrl: options.baseUrl === undefined ? receiver.url : options.baseUrl,
      secret,
      retryBaseMs: 1,
    },
    sign: signAsStandardWebhook(secret),
    faults,
    onSettled: options.onSettled ?? (() => {}),
  });
  running.push(outbox);
  return { outbox, faults };
}

const message = (id: string, subject: string) => ({
  id,
  subject,
  type: id,
  body: JSON.stringify({ type: id }),
});

/** Resolves with the first `count` settled messages. */
function collectSettled(count: number) {
  const settled: WebhookMessage[] = [];
  const { promise, resolve } = Promise.withResolvers<WebhookMessage[]>();
  const onSettled = (one: WebhookMessage) => {
    settled.push(one);
    if (settled.length === count) resolve(settled);
  };
  return { onSettled, done: promise };
}

test("a webhook is signed so that the receiver's own library accepts it, and a changed one is not", async () => {
  const { outbox } = start();
  outbox.enqueue(message("m1", "order-1"));
  const { headers, body, path } = await receiver.waitFor(() => true);
  const signed = {
    "webhook-id": String(headers["webhook-id"]),
    "webhook-timestamp": String(headers["webhook-timestamp"]),
    "webhook-signature": String(headers["webhook-signature"]),
  };
  expect(path).toBe("/webhooks/factory");
  expect(new Webhook(secret).verify(body, signed)).toEqual({ type: "m1" });
  expect(() => new Webhook(secret).verify(body.replace("m1", "m2"), signed)).toThrow();
  expect(() => new Webhook("b3RoZXItc2VjcmV0").verify(body, signed)).toThrow();
});

test("a receiver that answers 500 gets the same webhook again, and later ones of that subject wait", async () => {
  const { onSettled, done } = collectSettled(3);
  const { outbox } = start({ onSettled });
  let refusals = 3;
  receiver.answerWith((webhook) => (typeOf(webhook) === "m1" && refusals-- > 0 ? 500 : 204));
  outbox.enqueue(message("m1", "order-1"));
  outbox.enqueue(message("m2", "order-1"));
  outbox.enqueue(message("other", "order-2"));
  await done;
  const ofOrder1 = receiver.received.filter((webhook) => typeOf(webhook) !== "other");
  expect(ofOrder1.map((webhook) => [typeOf(webhook), webhook.status])).toEqual([
    ["m1", 500],
    ["m1", 500],
    ["m1", 500],
    ["m1", 204],
    ["m2", 204],
  ]);
  expect(new Set(ofOrder1.slice(0, 4).map((webhook) => webhook.headers["webhook-id"]))).toEqual(
    new Set(["m1"]),
  );
  expect(receiver.acknowledgedTypes()[0], "another subject does not wait for the first").toBe("other");
});

test("a webhook nobody ever takes is given up after 8 tries and the next one follows", async () => {
  const { onSettled, done } = collectSettled(2);
  const { outbox } = start({ onSettled });
  receiver.answerWith((webhook) => (typeOf(webhook) === "m1" ? 503 : 200));
  outbox.enqueue(message("m1", "order-1"));
  outbox.enqueue(message("m2", "order-1"));
  expect((await done).map(({ id, status, attempts }) => [id, status, attempts])).toEqual([
    ["m1", "abandoned", 8],
    ["m2", "delivered", 1],
  ]);
});

test("webhooks that were not acknowledged before a stop leave after the next start", async () => {
  const first = start();
  receiver.answerWith(() => 500);
  first.outbox.enqueue(message("m1", "order-1"));
  first.outbox.enqueue(message("m2", "order-1"));
  await receiver.waitFor(() => true);
  await first.outbox.close();
  receiver.answerWith(() => 204);
  const { onSettled, done } = collectSettled(2);
  const second = start({ onSettled });
  await done;
  expect(receiver.acknowledgedTypes()).toEqual(["m1", "m2"]);
  expect(second.outbox.list().map(({ status }) => status)).toEqual(["delivered", "delivered"]);
});

test("webhooks wait, unspent, until it is known where the platform listens", async () => {
  const { onSettled, done } = collectSettled(1);
  const { outbox } = start({ baseUrl: null, onSettled });
  outbox.enqueue(message("m1", "order-1"));
  outbox.setBaseUrl(receiver.url);
  expect(await done).toMatchObject([{ id: "m1", attempts: 1, status: "delivered" }]);
});

test("a webhook enqueued in a transaction that failed is never sent", async () => {
  const { onSettled, done } = collectSettled(1);
  const { outbox } = start({ onSettled });
  expect(() =>
    store.transaction(() => {
      outbox.enqueue(message("phantom", "order-1"));
      throw new Error("rolled back");
    }),
  ).toThrow();
  outbox.enqueue(message("m1", "order-1"));
  await done;
  expect(receiver.received.map(typeOf)).toEqual(["m1"]);
});

test("the knobs lose a webhook on the way, and a sent one can be repeated with the same id", async () => {
  const { onSettled, done } = collectSettled(2);
  const { outbox, faults } = start({ onSettled });
  faults.set({ dropWebhooksNext: { count: 1 } });
  outbox.enqueue(message("lost", "order-1"));
  outbox.enqueue(message("m1", "order-1"));
  await done;
  await outbox.sendAgain("m1");
  expect(receiver.received.map(({ headers }) => headers["webhook-id"])).toEqual(["m1", "m1"]);
  expect(await outbox.sendAgain("unknown")).toBeUndefined();
});

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

test("the outbox of a file store survives the process that wrote it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "partner-outbox-"));
  folders.push(folder);
  store.close();
  store = openStore(join(folder, "outbox.db"));
  const first = start({ baseUrl: null });
  first.outbox.enqueue(message("m1", "order-1"));
  await first.outbox.close();
  store.close();
  store = openStore(join(folder, "outbox.db"));
  start();
  expect(typeOf(await receiver.waitFor(() => true))).toBe("m1");
});
