import { randomInt } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import type { Logger } from "pino";
import { passFailpoint } from "./failpoints.ts";
import {
  completeJobs,
  type JobOutcome,
  mostTaken,
  recoverJobs,
  showAlive,
  type TakenJob,
  takeJobs,
} from "./job-claims.ts";
import { type JobHandler, jobsChannel } from "./jobs.ts";
import { createNotifyListener } from "./notify-listener.ts";

/** NOTIFY does not announce a job whose time has come. */
const lookEveryMs = 250;
/** Between two looks: under load a dozen jobs arrive in this time, and one by one they cost three times as much. */
const restMs = 15;
const recoverEveryMs = 1_000;

export type RunningJobs = { stop(): Promise<void> };

/** Runs a job; a failure is logged and part of the outcome. */
export async function runJob(
  handlers: ReadonlyMap<string, JobHandler>,
  job: TakenJob,
  logger: Logger,
): Promise<JobOutcome> {
  const { id, kind, attempts } = job;
  try {
    passFailpoint("job-taken-before-run");
    await handlers.get(kind)?.run(job.payload, attempts);
    passFailpoint("job-done-before-marked");
    return { id, attempts, error: null };
  } catch (err) {
    logger.warn({ err, job: id, task: kind }, "a job failed");
    return { id, attempts, error: err instanceof Error ? err.message : String(err) };
  }
}

/** Starts working, also on the jobs of workers that died; `stop` waits for the jobs in hand. */
export async function startJobs(options: {
  pool: pg.Pool;
  databaseUrl: string;
  handlers: readonly JobHandler[];
  /** Jobs in hand of a kind that does not say it itself. */
  concurrency: number;
  logger: Logger;
}): Promise<RunningJobs> {
  const { pool, logger } = options;
  const handlers = new Map(options.handlers.map((handler) => [handler.name, handler]));
  const inHand = new Map(options.handlers.map(({ name }) => [name, 0]));
  const worker = randomInt(1, 2 ** 31);
  const stopping = new AbortController();
  const { signal } = stopping;
  const running = new Set<Promise<void>>();
  const listener = createNotifyListener({
    url: options.databaseUrl,
    channel: jobsChannel,
    onConnect: (client) => showAlive(client, worker),
    logger,
  });
  /** No caller waits for a completion: the next look deletes them. */
  const done: JobOutcome[] = [];

  function freeOf({ name, atOnce }: JobHandler): number {
    return (atOnce ?? options.concurrency) - (inHand.get(name) ?? 0);
  }

  function count(kind: string, by: number): void {
    inHand.set(kind, (inHand.get(kind) ?? 0) + by);
  }

  async function runAndComplete(job: TakenJob): Promise<void> {
    const outcome = await runJob(handlers, job, logger);
    if (outcome.error === null) done.push(outcome);
    else await complete([outcome]);
  }

  /** A job that is not completed runs again when its lease ends, or when this process does. */
  async function complete(outcomes: readonly JobOutcome[]): Promise<void> {
    await completeJobs(pool, worker, outcomes).catch((err: unknown) =>
      logger.warn({ err, jobs: outcomes.map(({ id }) => id) }, "jobs could not be completed"),
    );
  }

  function begin(job: TakenJob): void {
    count(job.kind, 1);
    const run = runAndComplete(job).finally(() => {
      running.delete(run);
      const handler = handlers.get(job.kind);
      const wasFull = handler !== undefined && freeOf(handler) <= 0;
      count(job.kind, -1);
      if (wasFull) listener.ring();
    });
    running.add(run);
  }

  /** @returns whether more may be due already */
  async function takeAndBegin(): Promise<boolean> {
    const room = options.handlers.map((handler) => ({ kind: handler.name, free: freeOf(handler) }));
    const completed = done.splice(0);
    const taken = await takeJobs(
      pool,
      worker,
      room.filter(({ free }) => free > 0),
      completed.map(({ id }) => id),
    ).catch((err: unknown) => {
      done.push(...completed);
      throw err;
    });
    for (const job of taken) begin(job);
    if (taken.length === mostTaken) return true;
    if (taken.length > 0) await delay(restMs);
    return false;
  }

  async function work(): Promise<void> {
    while (!signal.aborted) {
      const heard = listener.count();
      const more = await takeAndBegin().catch((err: unknown) => {
        logger.warn({ err }, "taking jobs failed");
        return false;
      });
      if (!more) await listener.waitPast(heard, lookEveryMs, signal);
    }
  }

  async function recover(): Promise<void> {
    while (!signal.aborted) {
      try {
        const jobs = await recoverJobs(pool, worker);
        if (jobs > 0) {
          logger.warn({ jobs }, "jobs of workers that died run again");
          listener.ring();
        }
      } catch (err) {
        logger.warn({ err }, "looking for jobs of dead workers failed");
      }
      await delay(recoverEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  await listener.start();
  const working = Promise.all([work(), recover()]);
  return {
    async stop() {
      stopping.abort();
      await working;
      await Promise.all(running);
      await complete(done);
      // Not earlier: until then the other workers must see that this one lives.
      await listener.stop();
    },
  };
}
