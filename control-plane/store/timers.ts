import type { Clock } from "@caas/contract/business-clock.ts";
import { type RawBuilder, sql } from "kysely";
import type { Logger } from "pino";
import type { Db, Reader, Transaction } from "./database.ts";
import { passFailpoint } from "./failpoints.ts";

// Deadlines in business time, one row each, in a table: a test that moves the clock a year ahead sees them all come
// due, and a restart forgets none.

export type TimerHandler = { kind: string; due(tx: Transaction, subjectId: string): Promise<void> };

export type Deadline = { subjectId: string; dueAt: Date };

/** Sets or moves the deadline of each (kind, subject). */
export async function setTimers(tx: Transaction, kind: string, due: readonly Deadline[]): Promise<void> {
  for (const change of settingTimers(kind, due)) await change.execute(tx);
}

/** The same as a part of the statement that moves what the deadlines are about; nothing where there is none to set. */
export function settingTimers(kind: string, due: readonly Deadline[]): RawBuilder<unknown>[] {
  if (due.length === 0) return [];
  return [
    insertTimers(
      kind,
      sql`unnest(${due.map(({ subjectId }) => subjectId)}::uuid[], ${due.map(({ dueAt }) => dueAt)}::timestamptz[])`,
    ),
  ];
}

/** @param due SQL for rows of subject and time: what another part of the statement returns, or a function */
export function insertTimers(kind: string, due: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    insert into timers (kind, subject_id, due_at)
    select ${kind}, subject_id, due_at from ${due} as next (subject_id, due_at)
    on conflict (kind, subject_id) do update set due_at = excluded.due_at`;
}

export async function clearTimers(
  tx: Transaction,
  kind: string,
  subjectIds: readonly string[],
): Promise<void> {
  for (const change of clearingTimers([kind], subjectIds)) await change.execute(tx);
}

/** The same of several kinds, as a part of the statement that moves the subjects. */
export function clearingTimers(
  kinds: readonly string[],
  subjectIds: readonly string[],
): RawBuilder<unknown>[] {
  if (subjectIds.length === 0) return [];
  return [
    sql`delete from timers where kind = any(${[...kinds]}::text[]) and subject_id = any(${[...subjectIds]}::uuid[])`,
  ];
}

export type Timers = {
  start(): void;
  stop(): Promise<void>;
  /** Handles all deadlines that are due now; how many there were. */
  runDue(): Promise<number>;
};

/** How often the table is read, real time: the shortest deadline of the business is the 2 s of a retry. */
const lookEveryMs = 100;

export function createTimers(options: {
  db: Db;
  clock: Clock;
  handlers: readonly TimerHandler[];
  logger: Logger;
}): Timers {
  const { db, clock, logger } = options;
  const handlers = new Map(options.handlers.map((handler) => [handler.kind, handler]));
  let timeout: NodeJS.Timeout | undefined;
  let running: Promise<unknown> = Promise.resolve();
  let stopped = true;

  function dueIn(db: Reader, skipped: readonly string[]) {
    const query = db
      .selectFrom("timers")
      .select(["kind", "subject_id"])
      .where("due_at", "<=", clock.now())
      .where("kind", "in", [...handlers.keys()])
      .orderBy("due_at")
      .limit(1);
    return skipped.length === 0 ? query : query.where("subject_id", "not in", skipped);
  }

  /** One deadline per transaction: a handler that fails leaves only its own row for the next look. */
  async function runDue(): Promise<number> {
    if (handlers.size === 0) return 0;
    const failed: string[] = [];
    for (let done = 0; ; ) {
      const taken: { kind: string; subject_id: string }[] = [];
      // Most looks find nothing: those cost one statement and no transaction.
      if ((await dueIn(db, failed).executeTakeFirst()) === undefined) return done;
      try {
        await db.transaction().execute(async (tx) => {
          const timer = await dueIn(tx, failed).forUpdate().skipLocked().executeTakeFirst();
          if (timer === undefined) return;
          taken.push(timer);
          await clearTimers(tx, timer.kind, [timer.subject_id]);
          await handlers.get(timer.kind)?.due(tx, timer.subject_id);
          passFailpoint("deadline-handled-before-commit");
        });
        if (taken.length === 0) return done;
        done += 1;
      } catch (error) {
        if (taken.length === 0) throw error;
        for (const { kind, subject_id: subject } of taken) {
          logger.error({ err: error, kind, subject }, "a deadline's work failed");
          failed.push(subject);
        }
      }
    }
  }

  function look(): void {
    if (stopped) return;
    running = runDue()
      .catch((error: unknown) => logger.error({ err: error }, "looking for deadlines failed"))
      .finally(() => {
        if (!stopped) timeout = setTimeout(look, lookEveryMs);
      });
  }

  return {
    start() {
      stopped = false;
      look();
    },
    async stop() {
      stopped = true;
      clearTimeout(timeout);
      await running;
    },
    runDue,
  };
}
