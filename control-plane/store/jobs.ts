import { type RawBuilder, sql } from "kysely";
import type pg from "pg";
import type * as z from "zod";
import type { Transaction } from "./database.ts";
import { writtenWith } from "./written-with.ts";

// Work that follows a commit. A job is enqueued in the transaction that causes it, so it exists exactly when its
// cause does. It runs at least once, so every handler is idempotent.

/** Name and payload of a kind of job: the only way to enqueue one and to handle it. */
export type JobType<P> = {
  name: string;
  payload: z.ZodType<P>;
  /** How many of the kind a process has in hand at once; `null`: as configured. */
  atOnce: number | null;
};

/** For the kinds that every purchase makes: a partner that is slow for some must not hold up the others. */
export const perPurchase = 512;

export function jobType<P>(
  name: string,
  payload: z.ZodType<P>,
  atOnce: JobType<P>["atOnce"] = null,
): JobType<P> {
  return { name, payload, atOnce };
}

export type JobHandler = Pick<JobType<unknown>, "name" | "atOnce"> & {
  run(payload: unknown, attempt: number): Promise<void>;
};

/** Binds a kind of job to what it does. A payload of the wrong shape is a bug and fails the job. */
export function handleJob<P>(
  { name, payload: schema, atOnce }: JobType<P>,
  handle: (payload: P, attempt: number) => Promise<void>,
): JobHandler {
  return { name, atOnce, run: (payload, attempt) => handle(schema.parse(payload), attempt) };
}

export type EnqueueOptions = {
  /** At most one waiting job per key; enqueuing again replaces it. */
  key?: string;
  /** Real time. */
  runAt?: Date;
  maxAttempts?: number;
};

const defaultMaxAttempts = 25;

/** The channel that rings, without content, when jobs were enqueued. */
export const jobsChannel = "caas_jobs";

/**
 * Enqueues jobs of one kind, each with its own options, in one statement.
 *
 * @param changes what the jobs are about, written by the same statement
 */
export async function enqueue<P>(
  tx: Transaction,
  type: JobType<P>,
  all: readonly ({ payload: P } & EnqueueOptions)[],
  changes: readonly RawBuilder<unknown>[] = [],
): Promise<void> {
  if (all.length + changes.length === 0) return;
  // The last of each key: a statement cannot replace a row that it has just inserted.
  const last = new Map(all.map((job) => [job.key, job]));
  const jobs = all.filter((job) => job.key === undefined || last.get(job.key) === job);
  const payloads = jobs.map(({ payload }) => JSON.stringify(type.payload.parse(payload)));
  await sql`
    with ${writtenWith(changes)} enqueued as (
      insert into jobs (kind, payload, max_attempts, key, due_at)
      select ${type.name}, payload, max_attempts, key, coalesce(due_at, clock_timestamp())
      from unnest(${payloads}::jsonb[], ${jobs.map(({ maxAttempts }) => maxAttempts ?? defaultMaxAttempts)}::int[],
                  ${jobs.map(({ key }) => key ?? null)}::text[], ${jobs.map(({ runAt }) => runAt ?? null)}::timestamptz[])
        as next (payload, max_attempts, key, due_at)
      on conflict (key) do update
        set payload = excluded.payload, due_at = excluded.due_at, attempts = 0, taken_by = null, last_error = null
    )
    select pg_notify(${jobsChannel}, '')`.execute(tx);
}

/** Waiting and exhausted jobs by kind, for metrics. */
export async function countJobs(
  pool: pg.Pool,
): Promise<{ task: string; waiting: number; exhausted: number }[]> {
  const { rows } = await pool.query<{ task: string; waiting: number; exhausted: number }>(
    `select kind as task,
            count(*) filter (where attempts < max_attempts) as waiting,
            count(*) filter (where attempts >= max_attempts) as exhausted
     from jobs group by kind`,
  );
  return rows;
}
