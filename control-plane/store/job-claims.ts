import { cutText } from "@caas/contract/outside-text.ts";
import type pg from "pg";

// A worker takes jobs and completes them, many at a time. Neither waits for the disk: a claim or a completion that is
// lost in a crash only means that the job runs again. A worker shows by an advisory lock that it lives; PostgreSQL
// releases the lock with the connection, so the jobs of a worker that died are given back at once.

export type TakenJob = { id: number; kind: string; payload: unknown; attempts: number };

/** `error` `null`: the job is done. */
export type JobOutcome = { id: number; attempts: number; error: string | null };

/** Longer than any job takes. It only matters for a worker that hangs and keeps its connection. */
const leaseSeconds = 120;
/** The first of the advisory lock's two numbers; the second is the worker's. */
const lockClass = 0x63616174;
const mostErrorCharacters = 1_000;

/** How long a job waits after its failed `attempt`: e, e² … e¹⁰ s. */
export function waitAfterMs(attempt: number): number {
  return 1_000 * Math.exp(Math.min(10, attempt));
}

const notOnDisk = "select set_config('synchronous_commit', 'off', true) as off";

/** Taken at one time. */
export const mostTaken = 128;

/** Takes due jobs, of each kind at most as many as there is `room` for, and deletes those that are `done` with it. */
export async function takeJobs(
  pool: pg.Pool,
  worker: number,
  room: readonly { kind: string; free: number }[],
  done: readonly number[] = [],
): Promise<TakenJob[]> {
  const { rows } = await pool.query<TakenJob>({
    name: "take-jobs",
    text: `
      with fast as (${notOnDisk}), completed as (
        delete from jobs where id = any($6::bigint[]) and taken_by = $3
      ), next as (
        select due.id
        from unnest($1::text[], $2::int[]) as room (kind, free)
        cross join lateral (
          select id from jobs
          where kind = room.kind and due_at <= now() and attempts < max_attempts
          order by due_at limit room.free for update skip locked) as due
        limit $5)
      update jobs as job
      set attempts = attempts + 1, taken_by = $3, due_at = clock_timestamp() + make_interval(secs => $4)
      from next, fast where job.id = next.id and fast.off is not null
      returning job.id, job.kind, job.payload, job.attempts`,
    values: [
      room.map(({ kind }) => kind),
      room.map(({ free }) => free),
      worker,
      leaseSeconds,
      mostTaken,
      done,
    ],
  });
  return rows;
}

/**
 * Deletes jobs that are done, and lets failed ones wait e, e² … e¹⁰ s. A job that was enqueued again under its key
 * meanwhile stays as it is.
 */
export async function completeJobs(
  pool: pg.Pool,
  worker: number,
  outcomes: readonly JobOutcome[],
): Promise<void> {
  const done = outcomes.filter(({ error }) => error === null);
  if (done.length > 0)
    await pool.query({
      name: "complete-jobs",
      text: `
        with fast as (${notOnDisk})
        delete from jobs as job using fast
        where job.id = any($1) and job.taken_by = $2 and fast.off is not null`,
      values: [done.map(({ id }) => id), worker],
    });
  const failed = outcomes.filter(({ error }) => error !== null);
  if (failed.length > 0)
    await pool.query(
      `update jobs as job
       set taken_by = null, last_error = given.error, due_at = clock_timestamp() + make_interval(secs => given.wait)
       from unnest($1::bigint[], $2::text[], $3::float8[]) as given (id, error, wait)
       where job.id = given.id and job.taken_by = $4`,
      [
        failed.map(({ id }) => id),
        failed.map(({ error }) => (error === null ? null : cutText(error, mostErrorCharacters))),
        failed.map(({ attempts }) => waitAfterMs(attempts) / 1_000),
        worker,
      ],
    );
}

/** Shows that `worker` lives, as long as the connection does. */
export async function showAlive(client: pg.ClientBase, worker: number): Promise<void> {
  await client.query("select pg_advisory_lock($1, $2)", [lockClass, worker]);
}

/** Makes the jobs of workers that died due at once; `worker` is the caller and alive. @returns how many there were */
export async function recoverJobs(pool: pg.Pool, worker: number): Promise<number> {
  const { rowCount } = await pool.query(
    `update jobs as job set taken_by = null, due_at = clock_timestamp()
     where job.taken_by <> $2 and not exists (
       select from pg_locks as held
       where held.locktype = 'advisory' and held.granted and held.classid = $1
         and held.database = (select oid from pg_database where datname = current_database())
         and held.objid::bigint = job.taken_by)`,
    [lockClass, worker],
  );
  return rowCount ?? 0;
}
