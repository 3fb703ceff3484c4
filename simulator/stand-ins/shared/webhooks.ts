import type { FastifyBaseLogger } from "fastify";
import { Webhook } from "standardwebhooks";
import * as z from "zod";
import { wordsOf } from "../../command/run.ts";
import type { Faults } from "./faults.ts";
import { oddly } from "./odd-webhooks.ts";
import { createPoster } from "./poster.ts";
import type { PartnerStore } from "./store.ts";

// The partner's side of its webhooks: an outbox in its own store. Messages about one subject (an order, a
// transport, a payment) leave in order; each is repeated until the receiver answers 2xx.

const messageSchema = z.object({
  id: z.string(),
  /** What it is about; the order of messages is kept within a subject. */
  subject: z.string(),
  type: z.string(),
  body: z.string(),
  attempts: z.int(),
  status: z.enum(["pending", "delivered", "abandoned", "dropped"]),
  lastProblem: z.string().nullable(),
});
export type WebhookMessage = z.infer<typeof messageSchema>;

export type SignWebhook = (id: string, sentAt: Date, body: string) => Record<string, string>;

export type WebhookOptions = {
  /** Where the platform listens, as `http://127.0.0.1:3000`; `null`: not known yet, messages wait. */
  baseUrl: string | null;
  secret: string;
  /** Wait before the second try, milliseconds of real time; doubled for each further one. Default 250. */
  retryBaseMs?: number;
};

export type NewMessage = Pick<WebhookMessage, "id" | "subject" | "type" | "body">;

export type Outbox = {
  /** Stores a message within the caller's transaction; it leaves once that has committed. */
  enqueue(message: NewMessage): void;
  /** Sends a message again in any state, with the same id, as a partner's duplicate would be. */
  sendAgain(id: string): Promise<WebhookMessage | undefined>;
  setBaseUrl(baseUrl: string): void;
  list(): WebhookMessage[];
  hasPending(subject: string): boolean;
  /** Stops; what was not acknowledged stays in the store and leaves after the next start. */
  close(): Promise<void>;
};

// 8 tries, 250 ms doubled each time, make about half a minute: longer than a restart of the platform, short
// enough that a lost webhook is seen as lost by its reconciliation.
const maxAttempts = 8;
const defaultRetryBaseMs = 250;
const maxRetryMs = 30_000;
const sendTimeoutMs = 10_000;
const maxConcurrentSends = 16;

/** Standard Webhooks 1.0: `secret` is base64, with or without the `whsec_` prefix. @throws when it is not. */
export function signAsStandardWebhook(secret: string): SignWebhook {
  const signer = new Webhook(secret);
  return (id, sentAt, body) => ({
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(sentAt.getTime() / 1000)),
    "webhook-signature": signer.sign(id, sentAt, body),
  });
}

export function startOutbox(options: {
  store: PartnerStore;
  /** Path below the base URL, as `/webhooks/factory`. */
  path: string;
  /** Absent: nobody listens, and every message counts as settled at once. */
  webhook: WebhookOptions | undefined;
  sign: SignWebhook;
  faults: Faults;
  logger?: FastifyBaseLogger;
  /** Called when a message was acknowledged, given up or dropped: the next step may follow. */
  onSettled?: (message: WebhookMessage) => void;
}): Outbox {
  const { store, path, webhook, sign, faults, logger } = options;
  const messages = store.collection("webhooks", messageSchema, {
    status: (message) => message.status,
    subject: (message) => message.subject,
  });
  const retryBaseMs = webhook?.retryBaseMs ?? defaultRetryBaseMs;
  const closing = new AbortController();
  const poster = createPoster({ timeoutMs: sendTimeoutMs, signal: closing.signal });
  const timers = new Set<NodeJS.Timeout>();
  const sends = new Set<Promise<void>>();
  /** Ids not settled yet, by subject, oldest first. */
  const queues = new Map<string, string[]>();
  const ready: string[] = [];
  let baseUrl = webhook?.baseUrl ?? null;

  const makeReady = (subject: string, delayMs: number) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      ready.push(subject);
      sendReady();
    }, delayMs).unref();
    timers.add(timer);
  };

  const addToQueue = (subject: string, id: string) => {
    const queue = queues.get(subject);
    if (queue !== undefined) {
      queue.push(id);
      return;
    }
    queues.set(subject, [id]);
    // Not in this turn: the transaction that stored the message has to commit first.
    makeReady(subject, 0);
  };

  const sendReady = () => {
    if (webhook !== undefined && baseUrl === null) return;
    while (sends.size < maxConcurrentSends && !closing.signal.aborted) {
      const subject = ready.shift();
      if (subject === undefined) return;
      const sending = sendHead(subject).finally(() => {
        sends.delete(sending);
        sendReady();
      });
      sends.add(sending);
    }
  };

  const sendHead = async (subject: string) => {
    const queue = queues.get(subject);
    const id = queue?.[0];
    if (queue === undefined || id === undefined) return;
    await store.committed();
    const message = messages.get(id);
    // Gone when the transaction that enqueued it was rolled back.
    const outcome = message === undefined ? undefined : await attempt(message);
    if (closing.signal.aborted) return;
    if (message !== undefined && outcome?.status === "pending") {
      messages.put(id, outcome);
      makeReady(subject, Math.min(retryBaseMs * 2 ** (outcome.attempts - 1), maxRetryMs));
      return;
    }
    queue.shift();
    if (queue.length === 0) queues.delete(subject);
    else ready.push(subject);
    if (outcome === undefined) return;
    messages.put(id, outcome);
    options.onSettled?.(outcome);
  };

  const attempt = async (message: WebhookMessage): Promise<WebhookMessage> => {
    if (webhook === undefined) return { ...message, status: "dropped", lastProblem: "nobody listens" };
    if (faults.takeWebhookDrop())
      return { ...message, status: "dropped", lastProblem: "lost by the fault knob dropWebhooksNext" };
    const problem = await post(message);
    const attempts = message.attempts + 1;
    if (problem === null) return { ...message, attempts, status: "delivered", lastProblem: null };
    const status = attempts >= maxAttempts ? "abandoned" : "pending";
    logger?.warn({ webhook: message.id, type: message.type, attempts, status, problem }, "webhook not taken");
    return { ...message, attempts, status, lastProblem: problem };
  };

  /** Why the receiver did not take it, or `null` when it did. */
  const post = async (message: WebhookMessage): Promise<string | null> => {
    try {
      // Signed afresh for each try, in real time: receivers refuse a time stamp older than 300 s.
      const headers = { "content-type": "application/json", ...sign(message.id, new Date(), message.body) };
      const status = await poster.post(`${baseUrl}${path}`, headers, message.body);
      return status >= 200 && status < 300 ? null : `answered ${status}`;
    } catch (error) {
      return wordsOf(error);
    }
  };

  for (const message of messages.find("status", "pending")) addToQueue(message.subject, message.id);

  const add = (message: NewMessage) => {
    messages.put(message.id, { ...message, attempts: 0, status: "pending", lastProblem: null });
    addToQueue(message.subject, message.id);
  };

  return {
    enqueue(message) {
      for (const one of faults.areWebhooksOdd() ? oddly(message) : [message]) add(one);
    },
    async sendAgain(id) {
      const message = messages.get(id);
      if (message === undefined) return undefined;
      const problem = await post(message);
      return { ...message, lastProblem: problem };
    },
    setBaseUrl(next) {
      baseUrl = next;
      sendReady();
    },
    list: () => messages.list(),
    hasPending: (subject) => queues.has(subject),
    async close() {
      closing.abort();
      for (const timer of timers) clearTimeout(timer);
      await Promise.allSettled(sends);
      poster.close();
    },
  };
}
