import { setTimeout } from "node:timers/promises";
import { verifyDisplayAck } from "@caas/contract/display.ts";
import { type VerifyingKey, verifyingKeyFrom } from "@caas/contract/jws.ts";
import { makeStorable } from "@caas/contract/outside-text.ts";
import { parseJson } from "@caas/contract/parse-json.ts";
import { type Presence, presenceSchema } from "@caas/contract/presence.ts";
import { type Report, verifyReport } from "@caas/contract/report.ts";
import { parseTopic } from "@caas/contract/topics.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { Logger } from "pino";
import type { Db, Transaction } from "../store/database.ts";
import { isConflict, isDatabaseUnavailable } from "../store/database-errors.ts";
import { passFailpoint } from "../store/failpoints.ts";

/** A message from a car, verified where necessary. */
export type FromCar =
  | { kind: "report"; vin: Vin; report: Report; token: string }
  | { kind: "presence"; vin: Vin; presence: Presence }
  | { kind: "displayAck"; vin: Vin; displayId: string; result: "shown" | "expired" };

export type Ingester = {
  take(message: { topic: string; payload: Buffer; acknowledge(): void }): void;
  /** Resolves when everything taken so far is committed or refused. */
  stop(): Promise<void>;
};

type Waiting = { vin: Vin; kind: string; payload: Buffer; acknowledge(): void };

/** Messages in one batch: a statement for five hundred rows costs little more than one for a hundred. */
const batch = 512;
/**
 * After a batch, with fewer messages waiting than this, we wait a moment for more: a transaction costs as much for ten
 * as for a hundred. A single message is taken at once.
 */
const worthATransaction = 256;
const gatherMs = 20;
const databaseRetryMs = 500;
/** A deadlock with a request about the same car ends one of the two, by chance. */
const conflictTries = 5;

/**
 * Takes messages from cars in batches: verify, one transaction, acknowledge. When a batch fails, each of its messages
 * is tried by itself, so that one that cannot be taken does not affect the others; cars repeat their reports on every
 * connect, and the re-send asks again.
 */
export function createIngester(options: {
  db: Db;
  /** In VIN order; messages of one car stay in their order. */
  handle(tx: Transaction, messages: readonly FromCar[]): Promise<void>;
  onRefused?(reason: string): void;
  onTaken?(count: number): void;
  logger: Logger;
}): Ingester {
  const { db, logger } = options;
  const queue: Waiting[] = [];
  let working: Promise<void> | undefined;
  let stopped = false;
  /** Proof keys never change while a car keeps its identity; an unknown car is looked up each time. */
  const keys = new Map<Vin, VerifyingKey>();

  function refuse(vin: Vin, reason: string): null {
    options.onRefused?.(reason);
    logger.warn({ vin, reason }, "a car's message was refused");
    return null;
  }

  async function loadKeys(vins: readonly Vin[]): Promise<void> {
    const missing = [...new Set(vins)].filter((vin) => !keys.has(vin));
    if (missing.length === 0) return;
    const rows = await db
      .selectFrom("vehicle_links")
      .select(["vin", "proof_public_key"])
      .where("vin", "in", missing)
      .where("proof_public_key", "is not", null)
      .execute();
    for (const row of rows) {
      const vin = missing.find((candidate) => candidate === row.vin);
      if (vin !== undefined && row.proof_public_key !== null)
        keys.set(vin, verifyingKeyFrom(row.proof_public_key));
    }
  }

  function read(waiting: Waiting): FromCar | null {
    const { vin } = waiting;
    const text = waiting.payload.toString("utf8");
    if (waiting.kind === "presence") {
      const presence = presenceSchema.safeParse(parseJson(text));
      return presence.success
        ? { kind: "presence", vin, presence: presence.data }
        : refuse(vin, "presenceMalformed");
    }
    const key = keys.get(vin);
    if (key === undefined) return refuse(vin, "carUnknown");
    if (waiting.kind === "report") {
      const verified = verifyReport(text, { vin, key });
      return verified.kind === "accepted"
        ? // Only now: the signature is over what the car wrote.
          { kind: "report", vin, report: makeStorable(verified.report), token: text }
        : refuse(vin, `report.${verified.reason}`);
    }
    const ack = verifyDisplayAck(text, vin, key);
    return ack === null
      ? refuse(vin, "displayAck")
      : { kind: "displayAck", vin, displayId: ack.id, result: ack.result };
  }

  async function takeTogether(messages: readonly FromCar[]): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await db.transaction().execute((tx) => options.handle(tx, messages));
      } catch (error) {
        if (!isConflict(error) || tries === conflictTries) throw error;
      }
    }
  }

  async function takeBatch(waiting: readonly Waiting[]): Promise<void> {
    await loadKeys(waiting.map(({ vin }) => vin));
    const messages = waiting.map(read).filter((message) => message !== null);
    // One order for all locks. The sort is stable: messages of one car stay in their order.
    messages.sort((a, b) => (a.vin < b.vin ? -1 : a.vin > b.vin ? 1 : 0));
    try {
      await takeTogether(messages);
    } catch (error) {
      if (messages.length === 1 || isDatabaseUnavailable(error)) throw error;
      logger.warn({ err: error }, "a batch failed; taking its messages one by one");
      for (const message of messages)
        await takeTogether([message]).catch((alone: unknown) =>
          logger.error({ err: alone, vin: message.vin }, "a message could not be taken"),
        );
    }
    options.onTaken?.(messages.length);
  }

  /** While the database is away messages wait, unacknowledged; any other failure is logged and the message dropped. */
  async function takeBatchOnceThereIsADatabase(waiting: readonly Waiting[]): Promise<void> {
    for (;;) {
      try {
        return await takeBatch(waiting);
      } catch (error) {
        if (!isDatabaseUnavailable(error) || stopped)
          return logger.error({ err: error }, "taking in messages failed");
        await setTimeout(databaseRetryMs);
      }
    }
  }

  async function work(): Promise<void> {
    while (queue.length > 0) {
      const waiting = queue.splice(0, batch);
      await takeBatchOnceThereIsADatabase(waiting);
      passFailpoint("messages-committed-before-acknowledge");
      for (const { acknowledge } of waiting) acknowledge();
      if (queue.length > 0 && queue.length < worthATransaction && !stopped) await setTimeout(gatherMs);
    }
  }

  function wake(): void {
    working ??= work().finally(() => {
      working = undefined;
      if (queue.length > 0) wake();
    });
  }

  return {
    take({ topic, payload, acknowledge }) {
      const parsed = parseTopic(topic);
      if (
        parsed === null ||
        (parsed.kind !== "report" && parsed.kind !== "presence" && parsed.kind !== "display-ack")
      ) {
        acknowledge();
        return;
      }
      queue.push({ vin: parsed.vin, kind: parsed.kind, payload, acknowledge });
      wake();
    },
    async stop() {
      stopped = true;
      while (working !== undefined) await working;
    },
  };
}
