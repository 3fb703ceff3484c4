import type { Clock } from "@caas/contract/business-clock.ts";
import { runOnce, Logger as WorkerLogger } from "graphile-worker";
import { pino } from "pino";
import { createTestDatabase } from "../../test/servers/database.ts";
import type { Routing } from "../http/routes.ts";
import { createServer, type Http } from "../http/server.ts";
import { createSessions } from "../http/sessions.ts";
import type { Capability } from "../lifecycle/capability.ts";
import type { Context } from "../lifecycle/context.ts";
import {
  createPublish,
  type DomainEventName,
  type DomainEvents,
  type EventHandlers,
  type Publish,
} from "../lifecycle/events.ts";
import { stepsChannel } from "../lifecycle/record-step.ts";
import { type Db, openDatabase } from "../store/database.ts";
import { runDueQuickJobs } from "../store/quick-jobs.ts";
import { createStepFeed, type StepFeed } from "../store/step-feed.ts";
import { createTimers } from "../store/timers.ts";

/** A clock that a test moves. */
export type FakeClock = Clock & { advanceMs(ms: number): void; set(to: Date): void };

export function createFakeClock(start: Date): FakeClock {
  let nowMs = start.getTime();
  return {
    now: () => new Date(nowMs),
    advanceMs: (ms) => {
      nowMs += ms;
    },
    set: (to) => {
      nowMs = to.getTime();
    },
  };
}

/** What a test wires: the capabilities under test and which events reach which of their handlers. */
export type Wiring = { capabilities: readonly Capability[]; handlers: Partial<EventHandlers> };

/** Everything that was published, in order, whoever handled it. */
export type Published = {
  [Name in DomainEventName]: { name: Name; event: DomainEvents[Name] };
}[DomainEventName];

export type TestPlatform = {
  databaseUrl: string;
  context: Context;
  db: Db;
  clock: FakeClock;
  server: Http;
  routing: Routing;
  steps: StepFeed;
  published: Published[];
  /** Opens a port of loopback for webhooks; its address. */
  listen(): Promise<string>;
  /** Runs every job that is due, and what those enqueue; how many failed on the way. Failed ones stay for later. */
  runJobs(): Promise<number>;
  /** The same, with the waiting time of failed jobs over. */
  retryJobs(): Promise<number>;
  runTimers(): Promise<number>;
  /** Looks again whenever a step was committed. @throws after `timeoutMs` (20 s) with `what`. */
  waitUntil<T>(what: string, look: () => Promise<T | undefined>, timeoutMs?: number): Promise<T>;
  close(): Promise<void>;
};

const silentWorkerLogger = new WorkerLogger(() => () => undefined);

const noHandlers: EventHandlers = {
  saleRegistered: [],
  vehicleMoved: [],
  activationMoved: [],
  notificationDue: [],
  notificationAccepted: [],
  taskNeeded: [],
  reservationPaid: [],
  finalPaymentReceived: [],
  finalPaymentDeclined: [],
  servicePaymentRequested: [],
  serviceCaptureRequested: [],
  serviceVoidRequested: [],
  servicePaymentAuthorised: [],
  servicePaymentPresumed: [],
  servicePaymentAwaited: [],
  servicePaymentConfirmed: [],
  servicePaymentRefuted: [],
  servicePaymentChargedBack: [],
  serviceChargeBackClosed: [],
  servicePaymentRefunded: [],
  servicePaymentDeclined: [],
  servicePaymentCaptured: [],
  servicePaymentVoided: [],
  servicePaymentLost: [],
  maintenanceCheckRequested: [],
  maintenanceChecked: [],
  displayRequested: [],
  vinAssigned: [],
  attemptApplied: [],
  attemptFailed: [],
  changePossible: [],
  carConnected: [],
};

/**
 * A control plane with a database of its own, a business clock that stands still until a test moves it, and the
 * capabilities a test chooses. Jobs run when the test says so, so nothing is ever waited for by guess.
 */
export async function createTestPlatform(
  wire: (context: Context, parts: { steps: StepFeed; routing: Routing }) => Wiring | Promise<Wiring>,
  options: { name?: string; startAt?: Date } = {},
): Promise<TestPlatform> {
  const database = await createTestDatabase(options.name ?? "platform");
  const logger = pino({ level: process.env.TEST_LOG ?? "silent" });
  const opened = openDatabase(database.url, 20, () => undefined);
  const { db, pool } = opened;
  pool.on("connect", (client) =>
    client.on("error", (error) => logger.info({ err: error }, "a connection ended")),
  );
  const clock = createFakeClock(options.startAt ?? new Date("2026-03-02T09:00:00.000Z"));
  const steps = createStepFeed({ url: database.url, channel: stepsChannel, logger });
  await steps.start();
  const server = await createServer({ logger, version: "0.0.0-test" });
  const sessions = createSessions(db, "a secret for tests, 32 characters or more", "http://127.0.0.1");
  const routing: Routing = { server, db, sessions };

  const published: Published[] = [];
  let handlers: EventHandlers = noHandlers;
  const publish = createPublish(() => handlers);
  const publishAndKeep: Publish = async (tx, name, events) => {
    for (const event of events) published.push({ name, event } as Published); // paired by the caller's type
    await publish(tx, name, events);
  };
  const context: Context = {
    db,
    clock,
    realClock: { now: () => new Date() },
    publish: publishAndKeep,
    random: Math.random,
    logger,
  };
  const wiring = await wire(context, { steps, routing });
  handlers = { ...noHandlers, ...wiring.handlers };
  for (const capability of wiring.capabilities) capability.addRoutes?.(routing);
  const jobs = wiring.capabilities.flatMap((capability) => capability.jobs ?? []);
  const timers = createTimers({
    db,
    clock,
    handlers: wiring.capabilities.flatMap((capability) => capability.timers ?? []),
    logger,
  });
  let failures = 0;
  const taskList = Object.fromEntries(
    jobs
      .filter(({ queue }) => queue === "general")
      .map((job) => [
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

  /** The worker ends without waiting for its last job's outcome to be stored: until then the job is locked. */
  async function allWrittenDown(): Promise<void> {
    const locked = "select 1 from graphile_worker._private_jobs where locked_at is not null limit 1";
    while ((await pool.query(locked)).rowCount !== 0);
  }

  async function runJobs(): Promise<number> {
    failures = 0;
    const quick = jobs.filter(({ queue }) => queue === "quick");
    // Each queue's jobs enqueue some of the other's.
    for (let ran = true; ran; ) {
      failures += await runDueQuickJobs(pool, quick);
      await runOnce({ pgPool: pool, taskList, noHandleSignals: true, logger: silentWorkerLogger });
      await allWrittenDown();
      const { rows } = await pool.query<{ due: boolean }>(
        "select exists (select 1 from quick_jobs where due_at <= now() and attempts < max_attempts and kind = any($1)) as due",
        [quick.map(({ name }) => name)],
      );
      ran = rows[0]?.due === true;
    }
    return failures;
  }

  return {
    databaseUrl: database.url,
    context,
    db,
    clock,
    server,
    routing,
    steps,
    published,
    listen: () => server.listen({ host: "127.0.0.1", port: 0 }),
    runJobs,
    async retryJobs() {
      await pool.query("update graphile_worker._private_jobs set run_at = now() where locked_at is null");
      await pool.query("update quick_jobs set due_at = now()");
      return runJobs();
    },
    runTimers: () => timers.runDue(),
    async waitUntil(what, look, timeoutMs = 60_000) {
      const giveUpAt = Date.now() + timeoutMs;
      for (;;) {
        const heard = steps.count();
        const found = await look();
        if (found !== undefined) return found;
        const leftMs = giveUpAt - Date.now();
        if (leftMs <= 0) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
        await steps.waitPast(heard, leftMs);
      }
    },
    async close() {
      await server.close();
      await steps.stop();
      await opened.close();
      await database.drop();
    },
  };
}
