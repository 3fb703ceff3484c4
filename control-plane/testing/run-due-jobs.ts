import type pg from "pg";
import type { Logger } from "pino";
import { completeJobs, mostTaken, takeJobs } from "../store/job-claims.ts";
import type { JobHandler } from "../store/jobs.ts";
import { runJob } from "../store/work-jobs.ts";

const worker = 0;

/** Runs all jobs that are due and those they enqueue; how many failed. Failed ones stay for later. */
export async function runDueJobs(
  pool: pg.Pool,
  handlers: readonly JobHandler[],
  logger: Logger,
): Promise<number> {
  const byName = new Map(handlers.map((handler) => [handler.name, handler]));
  // Kinds with the configured limit run one by one, so that a test knows their order.
  const room = handlers.map(({ name, atOnce }) => ({ kind: name, free: atOnce === null ? 1 : mostTaken }));
  let failures = 0;
  for (;;) {
    const taken = await takeJobs(pool, worker, room);
    if (taken.length === 0) return failures;
    const outcomes = await Promise.all(taken.map((job) => runJob(byName, job, logger)));
    await completeJobs(pool, worker, outcomes);
    failures += outcomes.filter(({ error }) => error !== null).length;
  }
}
