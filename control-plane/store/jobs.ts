import { type RawBuilder, sql } from "kysely";
import type pg from "pg";
import type * as z from "zod";
import type { Db, Transaction } from "./database.ts";
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
  /** At most one waiting job per key; enqueuing again replaces it, and never puts it off. */
  key?: string;
  /** Real time. */
  runAt?: Date;
  maxAttempts?: number;
};

const defaultMaxAttempts = 25;

/** The channel that rings, without content, when jobs were enqueued. */
export const jobsChannel = "caas_jobs";

type NewJob<P> = { payload: P } & EnqueueOptions;

/**
 * Enqueues jobs of one kind, each with its own options, in one statement.
 *
 * @param changes what the jobs are about, written by the same statement
 */
export async function enqueue<P>(
  tx: Transaction,
  type: JobType<P>,
  all: readonly NewJob<P>[],
  changes: readonly RawBuilder<unknown>[] = [],
): Promise<void> {
  if (all.length + changes.length === 0) return;
  // The last of each key: a statement cannot replace a row that it has just inserted.
  const last = new Map(all.map((job) => [job.key, job]));
  const jobs = all.filter((job) => job.key === undefined || last.get(job.key) === job);
  await sql`
    with ${writtenWith(changes)} enqueued as (${insertJobs(type, jobs)})
    select ${ringFor(jobs)}`.execute(tx);
}

/**
 * Writes what jobs are about and enqueues them in one statement; outside a transaction it commits by itself.
 *
 * @param insert returns each row that is new, with its `cause`; only those get their job
 * @returns these rows
 */
export async function enqueueCaused<P, Row extends { cause: string }>(
  db: Db,
  type: JobType<P>,
  insert: RawBuilder<Row>,
  jobs: readonly (NewJob<P> & { cause: string })[],
): Promise<readonly Row[]> {
  const causes = jobs.map(({ cause }) => cause);
  const { rows } = await sql<Row>`
    with caused as (${insert}), enqueued as (
      ${insertJobs(type, jobs, sql`where (${causes}::text[])[position] in (select cause from caused)`)}
    )
    select caused.*, ${ringFor(jobs)} as rung from caused`.execute(db);
  return rows;
}

/** Every worker looks when it rings: without a job they would look in vain. */
function ringFor(jobs: readonly unknown[]): RawBuilder<unknown> {
  return jobs.length === 0 ? sql`null` : sql`pg_notify(${jobsChannel}, '')`;
}

function insertJobs<P>(
  { name, payload: schema }: JobType<P>,
  jobs: readonly NewJob<P>[],
  where: RawBuilder<unknown> = sql``,
): RawBuilder<unknown> {
  const payloads = jobs.map(({ payload }) => JSON.stringify(schema.parse(payload)));
  return sql`
    insert into jobs (kind, payload, max_attempts, key, due_at)
    select ${name}, payload, max_attempts, key, coalesce(due_at, clock_timestamp())
    from unnest(${payloads}::jsonb[], ${jobs.map(({ maxAttempts }) => maxAttempts ?? defaultMaxAttempts)}::int[],
                ${jobs.map(({ key }) => key ?? null)}::text[], ${jobs.map(({ runAt }) => runAt ?? null)}::timestamptz[])
      with ordinality as next (payload, max_attempts, key, due_at, position)
    ${where}
    on conflict (key) do update
      set payload = excluded.payload, attempts = 0, taken_by = null, last_error = null,
          due_at = case when jobs.taken_by is null then least(jobs.due_at, excluded.due_at) else excluded.due_at end`;
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
