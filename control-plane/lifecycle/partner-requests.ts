import type { Insertable, Updateable } from "kysely";
import { type AskedPartner, isAlarming, nextLookUp, triesBeforeAlarm } from "../rules/partner-patience.ts";
import type { Reader, Transaction } from "../store/database.ts";
import { waitAfterMs } from "../store/job-claims.ts";
import type { Database } from "../store/schema.ts";
import { clearTimers, setTimers, type TimerHandler } from "../store/timers.ts";
import type { Context } from "./context.ts";
import type { NotificationSubject } from "./events.ts";

// What partners are asked for: orders, registrations, transports. The one place that judges how they answer: "no" goes
// to a person at once, with the partner's words; silence is tried again with growing waits; and a matter of which
// nothing is heard is looked up.

/** What a partner is asked about. */
export type Matter = {
  partner: AskedPartner;
  /** The order, registration or transport. */
  id: string;
  /** Our number for it. */
  reference: string;
  subject: NotificationSubject;
};

type RefusalTask = "orderRefused" | "registrationRefused" | "transportRefused" | "transportNotCalledOff";

/** As the partners' clients answer. */
type Answer<T> =
  | { kind: "ok"; value: T }
  | { kind: "refused"; status: number; code: string; message: string };

export type Question<T> = {
  /** @param tries this one included: from the second on, what an earlier one has done is looked up first */
  ask(tries: number): Promise<Answer<T>>;
  record(tx: Transaction, value: T): Promise<void>;
  /** The task that a "no" makes. */
  refusalTask: RefusalTask;
  onRefused?(tx: Transaction): Promise<void>;
};

const silenceTimers = {
  factory: "factorySilent",
  authority: "authoritySilent",
  carrier: "carrierSilent",
} as const satisfies Record<AskedPartner, string>;

/**
 * Asks and records the answer; how it went is written down in any case.
 * @param attempt of the job that asks
 * @throws what the partner's client or `record` throws: the job's queue tries again
 */
export async function askPartner<T>(
  context: Context,
  matter: Matter,
  attempt: number,
  question: Question<T>,
): Promise<void> {
  const tries = (await readTries(context.db, matter.id)) + 1;
  try {
    const answer = await question.ask(tries);
    await context.db.transaction().execute(async (tx) => {
      if (answer.kind === "refused") await giveToAPerson(context, tx, matter, tries, question, answer);
      else {
        await noteTry(context, tx, matter, { tries, last_error: null, next_try_at: null });
        await question.record(tx, answer.value);
      }
    });
  } catch (error) {
    await noteFailure(context, matter, tries, attempt, error);
    throw error;
  }
}

async function giveToAPerson(
  context: Context,
  tx: Transaction,
  matter: Matter,
  tries: number,
  { refusalTask, onRefused }: Pick<Question<unknown>, "refusalTask" | "onRefused">,
  { status, code, message }: { status: number; code: string; message: string },
): Promise<void> {
  const { partner, id, reference, subject } = matter;
  await noteTry(context, tx, matter, { tries, last_error: `${code}: ${message}`, next_try_at: null });
  await clearTimers(tx, silenceTimers[partner], [id]);
  await onRefused?.(tx);
  await context.publish(tx, "taskNeeded", [
    {
      kind: refusalTask,
      facts: { reference },
      detail: { reference, reason: `${code}: ${message}`, status },
      subject,
    },
  ]);
}

async function noteFailure(
  context: Context,
  matter: Matter,
  tries: number,
  attempt: number,
  error: unknown,
): Promise<void> {
  const { partner, reference, subject } = matter;
  const reason = error instanceof Error ? error.message : String(error);
  const next_try_at = new Date(context.realClock.now().getTime() + waitAfterMs(attempt));
  await context.db.transaction().execute(async (tx) => {
    await noteTry(context, tx, matter, { tries, last_error: reason, next_try_at });
    if (tries !== triesBeforeAlarm) return;
    await context.publish(tx, "taskNeeded", [
      {
        kind: "partnerUnreachable",
        facts: { partner, reference },
        detail: { reference, reason, tries },
        subject,
      },
    ]);
  });
}

/** News came, or a first question is on its way: the next word is expected by `expectedAt`, or as is usual. */
export async function expectNews(
  context: Context,
  tx: Transaction,
  { partner, id }: Pick<Matter, "partner" | "id">,
  expectedAt: Date | null = null,
): Promise<void> {
  const now = context.clock.now();
  await upsert(tx, { subject_id: id, partner, heard_at: now }, { heard_at: now, alarmed_at: null });
  await setTimers(tx, silenceTimers[partner], [
    { subjectId: id, dueAt: nextLookUp(partner, now, expectedAt) },
  ]);
}

/** The matter is settled. */
export async function expectNothing(
  tx: Transaction,
  { partner, id }: Pick<Matter, "partner" | "id">,
): Promise<void> {
  await clearTimers(tx, silenceTimers[partner], [id]);
}

/** `isUrgent`: a person hears at once, as of an order that the factory does not know. */
export type Found = { kind: "news" } | { kind: "nothingNew"; reason: string; isUrgent: boolean };

export type LookUp<T> = {
  look(): Promise<Answer<T | null>>;
  /** Takes what the partner says as its messages are taken; `null`: it does not know our reference. */
  take(found: T | null): Promise<Found>;
  expectedAt: Date | null;
};

/**
 * Asks the partner where a matter stands of which nothing was heard: its messages may be lost. When nothing new comes
 * of it for long, a person hears.
 * @throws when the partner does not answer: the job's queue tries again
 */
export async function lookUpMatter<T>(context: Context, matter: Matter, lookUp: LookUp<T>): Promise<void> {
  const answer = await lookUp.look().catch((error: unknown) => ({ kind: "silent" as const, error }));
  const outcome: Found =
    answer.kind === "ok"
      ? await lookUp.take(answer.value)
      : { kind: "nothingNew", reason: wordsOf(answer), isUrgent: false };
  if (outcome.kind === "nothingNew")
    await context.db.transaction().execute((tx) => alarm(context, tx, matter, lookUp.expectedAt, outcome));
  if (answer.kind === "silent") throw answer.error;
}

function wordsOf(answer: { kind: "silent"; error: unknown } | { code: string; message: string }): string {
  if ("code" in answer) return `${answer.code}: ${answer.message}`;
  return answer.error instanceof Error ? answer.error.message : String(answer.error);
}

/** Once for each silence. */
async function alarm(
  context: Context,
  tx: Transaction,
  { partner, id, reference, subject }: Matter,
  expectedAt: Date | null,
  { reason, isUrgent }: { reason: string; isUrgent: boolean },
): Promise<void> {
  const now = context.clock.now();
  const row = await tx
    .selectFrom("partner_requests")
    .select(["heard_at", "alarmed_at"])
    .where("subject_id", "=", id)
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined || row.alarmed_at !== null) return;
  if (!isUrgent && !isAlarming(partner, { heardAt: row.heard_at, expectedAt }, now)) return;
  await tx.updateTable("partner_requests").set({ alarmed_at: now }).where("subject_id", "=", id).execute();
  const detail = { reference, reason, lastNews: row.heard_at.toISOString() };
  await context.publish(tx, "taskNeeded", [
    { kind: "partnerSilent", facts: { partner, reference }, detail, subject },
  ]);
}

/** The deadline after which a matter is looked up, and again after each such time until it is settled. */
export function silenceTimer(
  context: Context,
  partner: AskedPartner,
  lookUp: (tx: Transaction, id: string) => Promise<void>,
): TimerHandler {
  const kind = silenceTimers[partner];
  return {
    kind,
    async due(tx, id) {
      await setTimers(tx, kind, [{ subjectId: id, dueAt: nextLookUp(partner, context.clock.now(), null) }]);
      await lookUp(tx, id);
    },
  };
}

/** How asking went, for staff. `nextTryAt` is real time. */
export type Progress = { tries: number; lastError: string | null; nextTryAt: Date | null };

export async function readProgress(db: Reader, id: string): Promise<Progress> {
  const row = await db
    .selectFrom("partner_requests")
    .select(["tries", "last_error as lastError", "next_try_at as nextTryAt"])
    .where("subject_id", "=", id)
    .executeTakeFirst();
  return row ?? { tries: 0, lastError: null, nextTryAt: null };
}

/** Of the question that is open: one that was answered well is over, and the next one begins at its first try. */
async function readTries(db: Reader, id: string): Promise<number> {
  const { tries, lastError } = await readProgress(db, id);
  return lastError === null ? 0 : tries;
}

type Row = Database["partner_requests"];

async function noteTry(
  context: Context,
  tx: Transaction,
  { partner, id }: Matter,
  tried: Pick<Updateable<Row>, "tries" | "last_error" | "next_try_at">,
): Promise<void> {
  await upsert(tx, { subject_id: id, partner, heard_at: context.clock.now() }, tried);
}

async function upsert(
  tx: Transaction,
  key: Pick<Insertable<Row>, "subject_id" | "partner" | "heard_at">,
  values: Updateable<Row>,
): Promise<void> {
  await tx
    .insertInto("partner_requests")
    .values({ ...key, ...values, heard_at: key.heard_at, subject_id: key.subject_id, partner: key.partner })
    .onConflict((conflict) => conflict.column("subject_id").doUpdateSet(values))
    .execute();
}
