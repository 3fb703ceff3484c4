import { sql } from "kysely";
import type { Db, Transaction } from "./database.ts";
import { enqueueCaused, type JobType } from "./jobs.ts";

// Messages of partners, as they came. A message is stored with the job that judges it, and answered then.

/** `work`: what its job is given; `null`: nothing follows from it. */
export type ReceivedMessage<P> = { id: string; type: string; body: string; work: P | null };

/**
 * Stores messages and enqueues what follows from them, in one statement of its own.
 * @returns the ids that were not there before
 */
export async function storeMessages<P>(
  db: Db,
  source: string,
  { type, maxAttempts }: { type: JobType<P>; maxAttempts: number },
  all: readonly ReceivedMessage<P>[],
): Promise<ReadonlySet<string>> {
  // The first of each id: what is delivered twice at the same time has one job.
  const ids = all.map(({ id }) => id);
  const messages = all.filter(({ id }, index) => ids.indexOf(id) === index);
  const insert = sql<{ cause: string }>`
    insert into received_webhooks (source, id, type, body)
    select ${source}, id, type, body
    from unnest(${messages.map(({ id }) => id)}::text[], ${messages.map((message) => message.type)}::text[],
                ${messages.map(({ body }) => body)}::text[]) as given (id, type, body)
    on conflict (source, id) do nothing returning id as cause`;
  const jobs = messages.flatMap(({ id, work }) =>
    work === null ? [] : [{ payload: work, maxAttempts, cause: id }],
  );
  const stored = await enqueueCaused(db, type, insert, jobs);
  return new Set(stored.map(({ cause }) => cause));
}

/** Writes down why a message could not be taken. @returns the message as it came */
export async function recordFailure(
  tx: Transaction,
  message: { source: string; id: string; failure: string; at: Date },
): Promise<string> {
  const stored = await tx
    .updateTable("received_webhooks")
    .set({ failure: message.failure, failed_at: message.at })
    .where("source", "=", message.source)
    .where("id", "=", message.id)
    .returning("body")
    .executeTakeFirst();
  return stored?.body ?? "";
}
