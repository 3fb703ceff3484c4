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

// Work that follows a commit. A job is enqueued in the transaction that causes it, so it exists exactly when
// its cause does; it runs at least once, so every handler is idempotent.

/** Name and payload of a kind of job: the only way to enqueue one and to handle it. */
export type JobType<P> = { name: string; payload: z.ZodType<P> };

export function jobType<P>(name: string, payload: z.ZodType<P>): JobType<P> {
  return { name, payload };
}

export type JobHandler = { name: string; run(payload: unknown, attempt: number): Promise<void> };

/** Binds a kind of job to what it does. A payload of the wrong shape is a bug and fails the job. */
export function handleJob<P>(
  type: JobType<P>,
  handle: (payload: P, attempt: number) => Promise<void>,
): JobHandler {
  return { name: type.name, run: (payload, attempt) => handle(type.payload.parse(payload), attempt) };
}

export type EnqueueOptions = {
  /** At most one waiting job per key; enqueuing again replaces it. */
  key?: string;
  /** Real time. */
  runAt?: Date;
  maxAttempts?: number;
};

export async function enqueue<P>(
  tx: Transaction,
  type: JobType<P>,
  payload: P,
  options: EnqueueOptions = {},
): Promise<void> {
  const text = JSON.stringify(type.payload.parse(payload));
  await sql`select graphile_worker.add_job(
    ${type.name}, ${text}::json,
    run_at => ${options.runAt ?? null}::timestamptz,
    max_attempts => ${options.maxAttempts ?? 25}::int,
    job_key => ${options.key ?? null}::text
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
  const taskList: TaskList = Object.fromEntries(
    options.handlers.map((handler) => [
      handler.name,
      async (payload: unknown, helpers: { job: { attempts: number } }) => {
        passFailpoint("job-taken-before-run");
        await handler.run(payload, helpers.job.attempts);
        passFailpoint("job-done-before-marked");
      },
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
  return {
    async stop() {
      await runner.stop();
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
     from graphile_worker.jobs group by task_identifier`,
  );
  return rows.map((row) => ({
    task: row.task,
    waiting: Number(row.waiting),
    exhausted: Number(row.exhausted),
  }));
}
