import { runOnce, Logger as WorkerLogger } from "graphile-worker";
import type pg from "pg";
import type { Logger } from "pino";
import type { JobHandler } from "../store/jobs.ts";
import { runDueQuickJobs } from "../store/quick-jobs.ts";

const silentWorkerLogger = new WorkerLogger(() => () => undefined);

/** Runs the jobs that are due, and what those enqueue, until none is; how many tries failed. Failed ones stay. */
export async function runDueJobs(options: {
  pool: pg.Pool;
  handlers: readonly JobHandler[];
  logger: Logger;
}): Promise<number> {
  const { pool, handlers, logger } = options;
  const quick = handlers.filter(({ queue }) => queue === "quick");
  const general = handlers.filter(({ queue }) => queue === "general");
  let failures = 0;
  const taskList = Object.fromEntries(
    general.map((job) => [
      job.name,
      async (payload: unknown, helpers: { job: { attempts: number } }) => {
        try {
          await job.run(payload, helpers.job.attempts);
        } catch (error) {
          failures += 1;
          logger.info({ err: error, job: job.name }, "a job failed");
          throw error;
        }
      },
    ]),
  );
  // Each queue's jobs enqueue some of the other's.
  for (;;) {
    const due = await readDue(pool, quick);
    if (!due.quick && !due.general) return failures;
    if (due.quick) failures += await runDueQuickJobs(pool, quick);
    if (due.general) {
      await runOnce({ pgPool: pool, taskList, noHandleSignals: true, logger: silentWorkerLogger });
      // The worker ends without waiting for its last job's outcome to be stored: until then the job is locked.
      while (await isAnyLocked(pool));
    }
  }
}

async function readDue(
  pool: pg.Pool,
  quick: readonly JobHandler[],
): Promise<{ quick: boolean; general: boolean }> {
  const { rows } = await pool.query<{ quick: boolean; general: boolean }>(
    `select
       exists (select 1 from quick_jobs
               where due_at <= now() and attempts < max_attempts and kind = any($1)) as quick,
       exists (select 1 from graphile_worker._private_jobs
               where run_at <= now() and attempts < max_attempts and locked_at is null) as general`,
    [quick.map(({ name }) => name)],
  );
  return rows[0] ?? { quick: false, general: false };
}

async function isAnyLocked(pool: pg.Pool): Promise<boolean> {
  const locked = "select 1 from graphile_worker._private_jobs where locked_at is not null limit 1";
  return (await pool.query(locked)).rowCount !== 0;
}

/** Ends the waiting time of failed jobs. */
export async function makeAllDue(pool: pg.Pool): Promise<void> {
  await pool.query("update graphile_worker._private_jobs set run_at = now() where locked_at is null");
  await pool.query("update quick_jobs set due_at = now()");
}
