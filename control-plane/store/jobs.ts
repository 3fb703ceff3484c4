import { EventEmitter } from "node:events";
import {
  type LogFunctionFactory,
  type Runner,
  run,
  type TaskList,
  type WorkerEvents,
  Logger as WorkerLogger,
} from "graphile-worker";
import { sql } from "kysely";
import type pg from "pg";
import type { Logger } from "pino";
import type * as z from "zod";
import type { Transaction } from "./database.ts";
import { passFailpoint } from "./failpoints.ts";
import { type JobRecovery, recoverJobsOfTheDead } from "./job-recovery.ts";
import { enqueueQuick, startQuickJobs } from "./quick-jobs.ts";

// Work that follows a commit. A job is enqueued in the transaction that causes it, so it exists exactly when
// its cause does; it runs at least once, so every handler is idempotent.

/** Name and payload of a kind of job: the only way to enqueue one and to handle it. */
export type JobType<P> = { name: string; payload: z.ZodType<P>; queue: "general" | "quick" };

export function jobType<P>(name: string, payload: z.ZodType<P>): JobType<P> {
  return { name, payload, queue: "general" };
}

/** A kind that every purchase makes: the queue of our own is an order cheaper, and hundreds are in hand at once. */
export function quickJobType<P>(name: string, payload: z.ZodType<P>): JobType<P> & { queue: "quick" } {
  return { name, payload, queue: "quick" };
}

export type JobHandler = {
  name: string;
  queue: JobType<unknown>["queue"];
  run(payload: unknown, attempt: number): Promise<void>;
};

/** Binds a kind of job to what it does. A payload of the wrong shape is a bug and fails the job. */
export function handleJob<P>(
  type: JobType<P>,
  handle: (payload: P, attempt: number) => Promise<void>,
): JobHandler {
  const { name, queue } = type;
  return { name, queue, run: (payload, attempt) => handle(type.payload.parse(payload), attempt) };
}

export type EnqueueOptions = {
  /** At most one waiting job per key; enqueuing again replaces it. */
  key?: string;
  /** Real time. */
  runAt?: Date;
  maxAttempts?: number;
};

const defaultMaxAttempts = 25;

/** Enqueues jobs of one kind, each with its own options, in one statement. */
export async function enqueue<P>(
  tx: Transaction,
  type: JobType<P>,
  jobs: readonly ({ payload: P } & EnqueueOptions)[],
): Promise<void> {
  const specified = jobs.map(({ payload, maxAttempts = defaultMaxAttempts, ...options }) => ({
    ...options,
    payload: JSON.stringify(type.payload.parse(payload)),
    maxAttempts,
  }));
  if (type.queue === "quick")
    return enqueueQuick(
      tx,
      specified.map((job) => ({ kind: type.name, ...job })),
    );
  for (const { payload, maxAttempts, runAt, key } of specified)
    await sql`select graphile_worker.add_job(
      ${type.name}, ${payload}::json,
      run_at => ${runAt ?? null}::timestamptz,
      max_attempts => ${maxAttempts}::int,
      job_key => ${key ?? null}::text
    )`.execute(tx);
}

export type RunningJobs = { stop(): Promise<void> };

/** Starts working, also on what workers that died had in hand; `stop` waits for the jobs in hand. */
export async function startJobs(options: {
  pool: pg.Pool;
  handlers: readonly JobHandler[];
  concurrency: number;
  logger: Logger;
}): Promise<RunningJobs> {
  const handlers = options.handlers.map(({ name, queue, run: runJob }) => ({
    name,
    queue,
    async run(payload: unknown, attempt: number) {
      passFailpoint("job-taken-before-run");
      await runJob(payload, attempt);
      passFailpoint("job-done-before-marked");
    },
  }));
  const taskList: TaskList = Object.fromEntries(
    handlers
      .filter(({ queue }) => queue === "general")
      .map(({ name, run: runJob }) => [
        name,
        (payload: unknown, helpers: { job: { attempts: number } }) => runJob(payload, helpers.job.attempts),
      ]),
  );
  const events: WorkerEvents = new EventEmitter();
  let recovery: JobRecovery | undefined;
  events.on("pool:create", ({ workerPool }) => {
    recovery = recoverJobsOfTheDead({
      pool: options.pool,
      workerName: workerPool.id,
      logger: options.logger,
    });
  });
  const runner: Runner = await run({
    pgPool: options.pool,
    taskList,
    events,
    noHandleSignals: true,
    logger: new WorkerLogger(logTo(options.logger)),
    preset: {
      worker: {
        concurrentJobs: options.concurrency,
        // New jobs are announced by NOTIFY; the poll only finds those whose time has come.
        pollInterval: 1_000,
        localQueue: { size: Math.max(options.concurrency * 4, 100) },
      },
    },
  });
  const quick = startQuickJobs({
    pool: options.pool,
    handlers: handlers.filter(({ queue }) => queue === "quick"),
    logger: options.logger,
  });
  return {
    async stop() {
      await Promise.all([runner.stop(), quick.stop()]);
      // Not before: until then the others must see that we live.
      await recovery?.stop();
    },
  };
}

const levels = { error: "error", warning: "warn", info: "debug", debug: "trace" } as const;

function logTo(logger: Logger): LogFunctionFactory {
  return (scope) => (level, message, meta) => {
    const name = levels[level as keyof typeof levels] ?? "debug";
    logger[name]({ job: scope.jobId, task: scope.taskIdentifier, error: meta?.error }, message);
  };
}

/** Waiting and failing jobs by kind, for metrics. */
export async function countJobs(
  pool: pg.Pool,
): Promise<{ task: string; waiting: number; exhausted: number }[]> {
  const { rows } = await pool.query<{ task: string; waiting: string; exhausted: string }>(
    `select task_identifier as task,
            count(*) filter (where attempts < max_attempts) as waiting,
            count(*) filter (where attempts >= max_attempts) as exhausted
     from (
       select task_identifier, attempts, max_attempts from graphile_worker.jobs
       union all select kind, attempts, max_attempts from quick_jobs
     ) as jobs group by task_identifier`,
  );
  return rows.map((row) => ({
    task: row.task,
    waiting: Number(row.waiting),
    exhausted: Number(row.exhausted),
  }));
}
