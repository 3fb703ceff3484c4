import { cutText } from "@caas/contract/outside-text.ts";
import * as z from "zod";
import type { Context } from "../lifecycle/context.ts";
import type { NotificationSubject } from "../lifecycle/events.ts";
import type { Transaction } from "../store/database.ts";
import { groupCommit } from "../store/group-commit.ts";
import { handleJob, type JobHandler, type JobType, jobType } from "../store/jobs.ts";
import { recordFailure } from "../store/received-webhooks.ts";
import type { Refusal } from "./refusal.ts";
import { transact } from "./run-work.ts";

// What becomes of a partner's message after it was stored: a job judges it, and tries again for a while when the
// rules refuse it for now. What cannot be taken in the end is a person's task.

const partnerNames = { factory: "factory", transport: "carrier", paymentGateway: "payment gateway" } as const;
export type WebhookSource = keyof typeof partnerNames;
export type WebhookOutcome = "received" | "duplicate" | "forged";
/** Not of a type we use; about nothing of ours; no message at all, or refused by the rules until the last try. */
export type WebhookIgnored = "unknownType" | "foreign" | "unreadable" | "failed";

/** What a body says. `unreadable`: of a type we use, and not as it should be; `reference` is ours, if it has one. */
export type Reading<Event> =
  | { kind: "event"; event: Event; reference: string | null }
  | { kind: "unreadable"; reason: string; reference: string | null }
  | { kind: "ignored"; reason: Exclude<WebhookIgnored, "failed"> };

/** What the job of a message is given. */
export type Message<Event> = {
  id: string;
  type: string;
  heard: Exclude<Reading<Event>, { kind: "ignored" }>;
};

/** A partner that sends webhooks: how its messages are read, and the kind of job that judges them. */
export type Sender<Event> = {
  source: WebhookSource;
  read(body: unknown): Reading<Event>;
  job: JobType<Message<Event>>;
  count(outcome: WebhookOutcome): void;
  countIgnored(reason: WebhookIgnored): void;
};

export type CountWebhooks = {
  webhookHeard(source: WebhookSource, outcome: WebhookOutcome): void;
  webhookIgnored(source: WebhookSource, reason: WebhookIgnored): void;
};

/** The waits between grow from 3 s; half an hour together, in which whatever overtook its cause has found it. */
export const messageTries = 8;

/** Characters of a message that a task shows: more than any message of factory or carrier has. */
const mostShown = 2_000;

export function createSender<Event>(options: {
  source: WebhookSource;
  /** Of the job: `hearFactory`. */
  name: string;
  event: z.ZodType<Event>;
  read(body: unknown): Reading<Event>;
  count: CountWebhooks;
  atOnce?: number;
}): Sender<Event> {
  const { source, read, count } = options;
  const reference = z.string().nullable();
  return {
    source,
    read,
    job: jobType(
      options.name,
      z.object({
        id: z.string(),
        type: z.string(),
        heard: z.discriminatedUnion("kind", [
          z.object({ kind: z.literal("event"), event: options.event, reference }),
          z.object({ kind: z.literal("unreadable"), reason: z.string(), reference }),
        ]),
      }),
      options.atOnce ?? null,
    ),
    count: (outcome) => count.webhookHeard(source, outcome),
    countIgnored: (reason) => count.webhookIgnored(source, reason),
  };
}

const anyEvent = z.object({ type: z.string() });
const anyReference = z.object({ data: z.object({ reference: z.string() }) });

/** Reads messages whose data carry a reference of ours. @param types those that `schema` knows */
export function readReferenced<Event extends { data: { reference: string } }>(
  schema: z.ZodType<Event>,
  types: ReadonlySet<string>,
): (body: unknown) => Reading<Event> {
  return (body) => {
    const named = anyEvent.safeParse(body);
    if (!named.success) return { kind: "ignored", reason: "unreadable" };
    if (!types.has(named.data.type)) return { kind: "ignored", reason: "unknownType" };
    const parsed = schema.safeParse(body);
    if (parsed.success) return { kind: "event", event: parsed.data, reference: parsed.data.data.reference };
    return {
      kind: "unreadable",
      reason: parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "),
      reference: anyReference.safeParse(body).data?.data.reference ?? null,
    };
  };
}

/** `foreign`: about nothing of ours. A refusal is for now: the message is judged again later. */
export type Handled = { kind: "done" } | { kind: "foreign" } | Refusal;
export type Heard<Event> = { event: Event; attempt: number };

export type JudgeMessages<Event> =
  | {
      /** Gets a transaction of its own; a refusal undoes all of it. One message after another, in their order. */
      run(tx: Transaction, event: Event): Promise<Handled>;
    }
  | {
      /** Those that come together; it opens the transactions that it needs. The answers are in the same order. */
      runMany(heard: readonly Heard<Event>[]): Promise<readonly Handled[]>;
    };

/** @param subjectOf whose message it is, by our reference; `null`: not ours */
export function judgeMessages<Event>(
  context: Context,
  sender: Sender<Event>,
  judge: JudgeMessages<Event>,
  subjectOf: (tx: Transaction, reference: string) => Promise<NotificationSubject | null> = async () => null,
): JobHandler {
  const handle =
    "runMany" in judge
      ? groupCommit(judge.runMany)
      : groupCommit(
          ([heard]: readonly Heard<Event>[]) =>
            transact(
              context.db,
              async (tx): Promise<Handled[]> =>
                heard === undefined ? [] : [await judge.run(tx, heard.event)],
            ),
          { most: 1 },
        );

  /** Why it cannot be taken now, `null` when it is settled. @throws what is no answer, as a lost connection */
  async function settle({ heard }: Message<Event>, attempt: number): Promise<string | null> {
    if (heard.kind === "unreadable") return heard.reason;
    const handled = await handle({ event: heard.event, attempt });
    if (handled.kind === "foreign") sender.countIgnored("foreign");
    return handled.kind === "refused" ? handled.detail : null;
  }

  return handleJob(sender.job, async (message, attempt) => {
    const isLast = attempt >= messageTries || message.heard.kind === "unreadable";
    const failure = await settle(message, attempt).catch((error: unknown) => {
      if (!isLast) throw error;
      return error instanceof Error ? error.message : String(error);
    });
    if (failure === null) return;
    if (!isLast) throw new Error(failure);
    await giveUp(message, failure);
  });

  async function giveUp({ id, type, heard }: Message<Event>, failure: string): Promise<void> {
    const { source } = sender;
    await context.db.transaction().execute(async (tx) => {
      const subject = heard.reference === null ? null : await subjectOf(tx, heard.reference);
      const body = await recordFailure(tx, { source, id, failure, at: context.clock.now() });
      if (subject === null && heard.kind === "unreadable") return;
      await context.publish(tx, "taskNeeded", [
        {
          kind: "messageNotTaken",
          facts: { partner: partnerNames[source], type },
          detail: { source, id, type, reason: failure, message: cutText(body, mostShown) },
          subject: subject ?? {},
        },
      ]);
    });
    sender.countIgnored(heard.kind === "unreadable" ? "unreadable" : "failed");
  }
}
