import { randomInt } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { sql } from "kysely";
import type pg from "pg";
import type { Logger } from "pino";
import type { Transaction } from "./database.ts";
import { groupCommit } from "./group-commit.ts";

// The queue of the path that every purchase takes, where each job would cost more in the general queue than what it
// does. The promises are the same: it is enqueued in the transaction that causes it, and runs at least once. Jobs are
// taken and crossed off many at a time, and the jobs of a worker that died are run again at once.

export type QuickJob = { kind: string; payload: string; maxAttempts: number; key?: string; runAt?: Date };

export type QuickHandler = { name: string; run(payload: unknown, attempt: number): Promise<void> };

/** The channel that is rung, without content, when jobs were enqueued. */
const quickJobsChannel = "caas_quick_jobs";
/** Taken at one time, and in hand of one kind: a partner that is slow keeps nobody else waiting. */
const takenAtOnce = 128;
const inHandPerKind = 512;
/** What comes due later is not announced. */
const lookEveryMs = 250;
/** After a look, before the next: under load jobs come by the dozen then, and one by one they cost three times as much. */
const restMs = 15;
/** Nobody waits for a job to be crossed off. */
const crossOffLingerMs = 25;
const reviveEveryMs = 1_000;
/** Longer than any job takes: only a worker that lost its way, and not its connection, is outlived by this. */
const leaseSeconds = 120;
/** The first of the advisory lock's two numbers; the other is the worker's. */
const lockClass = 0x63616174;

/** Under a key at most one waits; enqueuing it again puts it off. */
export async function enqueueQuick(tx: Transaction, all: readonly QuickJob[]): Promise<void> {
  if (all.length === 0) return;
  // The last of one key: a statement cannot put off what it has only just enqueued.
  const last = new Map(all.map((job) => [job.key, job]));
  const jobs = all.filter((job) => job.key === undefined || last.get(job.key) === job);
  await sql`
    with enqueued as (
      insert into quick_jobs (kind, payload, max_attempts, key, due_at)
      select kind, payload, max_attempts, key, coalesce(due_at, clock_timestamp())
      from unnest(${jobs.map(({ kind }) => kind)}::text[], ${jobs.map(({ payload }) => payload)}::jsonb[],
                  ${jobs.map(({ maxAttempts }) => maxAttempts)}::int[], ${jobs.map(({ key }) => key ?? null)}::text[],
                  ${jobs.map(({ runAt }) => runAt ?? null)}::timestamptz[])
        as next (kind, payload, max_attempts, key, due_at)
      on conflict (key) do update
        set payload = excluded.payload, due_at = excluded.due_at, attempts = 0, taken_by = null
    )
    select pg_notify(${quickJobsChannel}, '')`.execute(tx);
}

type Taken = { id: number; kind: string; payload: unknown; attempts: number };

/** Nothing is lost with a claim or a crossing-off that did not reach the disk: the job runs again. */
const notOnDisk = "select set_config('synchronous_commit', 'off', true) as off";

const takeText = `
  with quick as (${notOnDisk}), next as (
    select id from quick_jobs
    where kind = any($1) and due_at <= clock_timestamp() and attempts < max_attempts
    order by due_at limit $2 for update skip locked)
  update quick_jobs job
  set attempts = attempts + 1, taken_by = $3, due_at = clock_timestamp() + make_interval(secs => $4)
  from next, quick where job.id = next.id and quick.off is not null
  returning job.id, job.kind, job.payload, job.attempts`;

async function take(
  pool: pg.Pool,
  kinds: readonly string[],
  limit: number,
  worker: number,
): Promise<Taken[]> {
  const { rows } = await pool.query<Taken>({
    name: "take-quick-jobs",
    text: takeText,
    values: [kinds, limit, worker, leaseSeconds],
  });
  return rows;
}

type Outcome = { id: number; attempts: number; error: string | null };

/** As the general queue waits: e, e² … e¹⁰ s. One that was enqueued anew meanwhile stays as it is. */
async function crossOff(pool: pg.Pool, worker: number, outcomes: readonly Outcome[]): Promise<void> {
  const done = outcomes.filter(({ error }) => error === null).map(({ id }) => id);
  if (done.length > 0)
    await pool.query({
      name: "cross-off-quick-jobs",
      text: `with quick as (${notOnDisk})
             delete from quick_jobs job using quick
             where job.id = any($1) and job.taken_by = $2 and quick.off is not null`,
      values: [done, worker],
    });
  for (const { id, attempts, error } of outcomes)
    if (error !== null)
      await pool.query(
        `update quick_jobs
         set taken_by = null, last_error = $2, due_at = clock_timestamp() + make_interval(secs => $3)
         where id = $1 and taken_by = $4`,
        [id, error.slice(0, 1_000), Math.exp(Math.min(10, attempts)), worker],
      );
}

export type QuickJobs = { stop(): Promise<void> };

/** Starts working; `stop` waits for the jobs in hand. */
export function startQuickJobs(options: {
  pool: pg.Pool;
  handlers: readonly QuickHandler[];
  logger: Logger;
}): QuickJobs {
  const { pool, logger } = options;
  const handlers = new Map(options.handlers.map((handler) => [handler.name, handler]));
  const worker = randomInt(1, 2 ** 31);
  const stopping = new AbortController();
  const { signal } = stopping;
  const inHand = new Map([...handlers.keys()].map((kind) => [kind, 0]));
  const running = new Set<Promise<void>>();
  let rung = true;
  let wake: () => void = () => undefined;
  const shownToLive = Promise.withResolvers<void>();

  function ring(): void {
    rung = true;
    wake();
  }

  const finish = groupCommit(
    async (outcomes: readonly Outcome[]) => {
      await crossOff(pool, worker, outcomes);
      return outcomes.map(() => undefined);
    },
    { lingerMs: crossOffLingerMs },
  );

  async function runOne(job: Taken): Promise<void> {
    let error: string | null = null;
    try {
      await handlers.get(job.kind)?.run(job.payload, job.attempts);
    } catch (failure) {
      error = failure instanceof Error ? failure.message : String(failure);
      logger.warn({ err: failure, job: job.id, task: job.kind }, "a job failed");
    }
    // Not crossed off: it is run again when its lease is over, or when we are gone.
    await finish({ id: job.id, attempts: job.attempts, error }).catch((failure: unknown) =>
      logger.warn({ err: failure, job: job.id }, "a job could not be crossed off"),
    );
  }

  function begin(job: Taken): void {
    const count = (by: number) => inHand.set(job.kind, (inHand.get(job.kind) ?? 0) + by);
    const was = inHand.get(job.kind) ?? 0;
    count(1);
    const run = runOne(job).finally(() => {
      running.delete(run);
      count(-1);
      if (was >= inHandPerKind) ring();
    });
    running.add(run);
  }

  async function waitForWork(): Promise<void> {
    if (rung || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, lookEveryMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async function work(): Promise<void> {
    // What is taken without the lock would look like a dead worker's.
    await shownToLive.promise;
    while (!signal.aborted) {
      rung = false;
      try {
        const kinds = [...handlers.keys()].filter((kind) => (inHand.get(kind) ?? 0) < inHandPerKind);
        const taken = await take(pool, kinds, takenAtOnce, worker);
        for (const job of taken) begin(job);
        if (taken.length === takenAtOnce) rung = true;
        else if (taken.length > 0) await delay(restMs);
      } catch (error) {
        logger.warn({ err: error }, "taking jobs failed");
        await delay(lookEveryMs, undefined, { signal }).catch(() => undefined);
      }
      await waitForWork();
    }
  }

  /** Hears the bell, and shows by its lock that this worker lives. Both end with the connection, and begin anew. */
  async function listen(): Promise<void> {
    while (!signal.aborted) {
      let client: pg.PoolClient | undefined;
      try {
        client = await pool.connect();
        client.on("notification", ring);
        await client.query("select pg_advisory_lock($1, $2)", [lockClass, worker]);
        await client.query(`listen ${quickJobsChannel}`);
        shownToLive.resolve();
        ring();
        while (!signal.aborted) {
          if ((await client.query(reviveText, [lockClass])).rowCount !== 0) ring();
          await delay(reviveEveryMs, undefined, { signal }).catch(() => undefined);
        }
      } catch (error) {
        logger.warn({ err: error }, "listening for jobs failed");
        await delay(reviveEveryMs, undefined, { signal }).catch(() => undefined);
      } finally {
        // Not given back to the pool: the session holds the lock.
        client?.release(true);
      }
    }
  }

  const working = handlers.size === 0 ? Promise.resolve() : Promise.all([listen(), work()]);
  return {
    async stop() {
      stopping.abort();
      shownToLive.resolve();
      wake();
      await working;
      await Promise.all(running);
    },
  };
}

const reviveText = `
  update quick_jobs job set taken_by = null, due_at = clock_timestamp()
  where job.taken_by is not null and not exists (
    select from pg_locks held
    where held.locktype = 'advisory' and held.granted and held.classid = $1
      and held.database = (select oid from pg_database where datname = current_database())
      and held.objid::bigint = job.taken_by)`;

/** Runs all that is due now and what those enqueue; how many failed on the way. Failed ones stay for later. */
export async function runDueQuickJobs(pool: pg.Pool, handlers: readonly QuickHandler[]): Promise<number> {
  const byName = new Map(handlers.map((handler) => [handler.name, handler]));
  const worker = 0;
  let failures = 0;
  for (;;) {
    const taken = await take(pool, [...byName.keys()], takenAtOnce, worker);
    if (taken.length === 0) return failures;
    const outcomes = await Promise.all(
      taken.map(async ({ id, kind, payload, attempts }): Promise<Outcome> => {
        try {
          await byName.get(kind)?.run(payload, attempts);
          return { id, attempts, error: null };
        } catch (error) {
          return { id, attempts, error: error instanceof Error ? error.message : String(error) };
        }
      }),
    );
    failures += outcomes.filter(({ error }) => error !== null).length;
    await crossOff(pool, worker, outcomes);
  }
}
