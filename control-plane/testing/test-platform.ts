import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Logger, pino } from "pino";
import { createTestDatabase } from "../../test/servers/database.ts";
import { type Config, readConfig } from "../config.ts";
import { openCertificateAuthority } from "../fleet-link/certificate-authority.ts";
import type { FleetLinkOptions } from "../fleet-link/fleet-link.ts";
import { type KeyRing, openKeyRing } from "../fleet-link/key-ring.ts";
import { createServer, type Http } from "../http/server.ts";
import { createSessions } from "../http/sessions.ts";
import type { Context } from "../lifecycle/context.ts";
import {
  createPublish,
  type DomainEventName,
  type DomainEvents,
  type EventHandlers,
  type Publish,
} from "../lifecycle/events.ts";
import { stepsChannel } from "../lifecycle/record-step.ts";
import type { ControlPlaneMetrics } from "../metrics/metrics.ts";
import { type Db, openDatabase } from "../store/database.ts";
import { createNotifyListener, type NotifyListener } from "../store/notify-listener.ts";
import { createTimers } from "../store/timers.ts";
import { type Partners, type Wiring, watch, wire } from "../wiring.ts";
import { createFakeClock, createFakePartners, type FakeClock, type FakePartners } from "./fakes.ts";
import { runDueJobs } from "./run-due-jobs.ts";

/** Everything that was published, in order. */
export type Published = {
  [Name in DomainEventName]: { name: Name; event: DomainEvents[Name] };
}[DomainEventName];

export type TestPlatform = Omit<Wiring, "capabilities" | "handlers"> & {
  config: Config;
  context: Context;
  db: Db;
  clock: FakeClock;
  server: Http;
  steps: NotifyListener;
  keyRing: KeyRing;
  keysFolder: string;
  /** The platform's own way to its partners. */
  partners: Partners;
  /** Those of them that no stand-in replaces. */
  fakes: FakePartners;
  published: Published[];
  metrics: ControlPlaneMetrics;
  /** Milliseconds and outcome of every question to the workshops. */
  maintenanceChecks: { ms: number; status: string }[];
  /** Opens a port of loopback, for cars' enrolment and partners' webhooks; its address. */
  listen(): Promise<string>;
  /** Runs every job that is due, and what those enqueue; how many failed on the way. Failed ones stay for later. */
  runJobs(): Promise<number>;
  /** The same, with the waiting time of failed jobs over. */
  retryJobs(): Promise<number>;
  runTimers(): Promise<number>;
  /** Looks again whenever a step was committed, and now and then. @throws after `timeoutMs` (60 s) with `what`. */
  waitUntil<T>(what: string, look: () => Promise<T | undefined>, timeoutMs?: number): Promise<T>;
  /** The same, running jobs before each look. */
  until<T>(what: string, look: () => Promise<T | undefined>): Promise<T>;
  close(): Promise<void>;
};

export type TestPlatformOptions = {
  name: string;
  startAt?: Date;
  /** What replaces the fakes. */
  partners?: Partial<Partners>;
  settings?: Partial<Config>;
  /** Makes the broker that trusts these keys; its address and password. Without it the link is never started. */
  broker?: (keyRing: KeyRing, logger: Logger) => Promise<FleetLinkOptions["broker"]>;
  /** Events that nobody hears, for a test of what publishes them about things that exist nowhere else. */
  unheard?: readonly DomainEventName[];
};

/**
 * The control plane as it is wired for production, with a database of its own, a business clock that stands still
 * until a test moves it, and fakes or stand-ins for partners. Jobs run when the test says so, so nothing is ever
 * waited for by guess.
 */
export async function startTestPlatform(options: TestPlatformOptions): Promise<TestPlatform> {
  const database = await createTestDatabase(options.name);
  const keysFolder = await mkdtemp(join(tmpdir(), "caas-test-keys-"));
  const logger = pino({ level: process.env.TEST_LOG ?? "silent" });
  const opened = openDatabase(database.url, 20, () => undefined);
  const { db, pool } = opened;
  pool.on("connect", (client) =>
    client.on("error", (error) => logger.info({ err: error }, "a connection ended")),
  );
  const clock = createFakeClock(options.startAt ?? new Date("2026-03-02T09:00:00.000Z"));
  const [keyRing, certificateAuthority] = await Promise.all([
    openKeyRing(keysFolder, clock),
    openCertificateAuthority(keysFolder, clock),
  ]);
  const broker = (await options.broker?.(keyRing, logger)) ?? noBroker;
  const config = { ...testConfig(database.url, keysFolder), MQTT_URL: broker.url, ...options.settings };
  const steps = createNotifyListener({ url: database.url, channel: stepsChannel, logger });
  await steps.start();
  const server = await createServer({
    logger,
    version: "0.0.0-test",
    reportUnlisted(sentence) {
      throw new Error(sentence);
    },
  });
  const sessions = createSessions(db, config.SESSION_SECRET, "http://127.0.0.1");

  const published: Published[] = [];
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
  const fakes = createFakePartners(clock);
  const partners = { ...fakes, ...options.partners };
  const maintenanceChecks: TestPlatform["maintenanceChecks"] = [];
  const metrics: ControlPlaneMetrics = {
    ...watch(pool, context, keyRing),
    maintenanceCheckTook: (ms, status) => maintenanceChecks.push({ ms, status }),
  };
  let address = "http://127.0.0.1:9";
  const wiring = wire(context, config, {
    partners,
    keyRing,
    certificateAuthority,
    steps,
    metrics,
    broker,
    publicUrl: () => address,
  });
  const { capabilities, handlers: wired, ...features } = wiring;
  const unheard = Object.fromEntries((options.unheard ?? []).map((name) => [name, []]));
  const handlers: EventHandlers = { ...wired, ...unheard };
  for (const capability of capabilities) capability.addRoutes?.({ server, db, sessions });
  const jobs = capabilities.flatMap((capability) => capability.jobs ?? []);
  const timers = createTimers({
    db,
    clock,
    handlers: capabilities.flatMap((capability) => capability.timers ?? []),
    logger,
  });
  const runJobs = () => runDueJobs(pool, jobs, logger);

  async function waitUntil<T>(
    what: string,
    look: () => Promise<T | undefined>,
    timeoutMs = 60_000,
  ): Promise<T> {
    const giveUpAt = Date.now() + timeoutMs;
    for (;;) {
      const heard = steps.count();
      const found = await look();
      if (found !== undefined) return found;
      const leftMs = giveUpAt - Date.now();
      if (leftMs <= 0) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
      await steps.waitPast(heard, Math.min(leftMs, lookAgainMs));
    }
  }

  return {
    ...features,
    config,
    context,
    db,
    clock,
    server,
    steps,
    keyRing,
    keysFolder,
    partners,
    fakes,
    published,
    metrics,
    maintenanceChecks,
    async listen() {
      address = await server.listen({ host: "127.0.0.1", port: 0 });
      return address;
    },
    runJobs,
    async retryJobs() {
      await pool.query("update jobs set due_at = now()");
      return runJobs();
    },
    runTimers: () => timers.runDue(),
    waitUntil,
    until: (what, look) =>
      waitUntil(what, async () => {
        await runJobs();
        return look();
      }),
    async close() {
      await server.close();
      await steps.stop();
      await opened.close();
      await database.drop();
      await rm(keysFolder, { recursive: true, force: true });
    },
  };
}

/** For what changes without a step, as what a car says of its key set. */
const lookAgainMs = 100;

const noBroker = { url: "mqtt://127.0.0.1:9", clientId: "none", username: null, password: null, tls: null };

export const factorySecret = secretOf("the factory's secret in a test");
export const transportSecret = secretOf("the carrier's secret in a test");
export const gatewaySecret = "whsec_the gateway's secret in a test";
export const carSecret = "the cars' secret of a test, 32 characters";
export const partnerApiKey = "the key of a test";

function secretOf(text: string): string {
  return `whsec_${Buffer.from(text).toString("base64")}`;
}

/** What `.env` would say, with every partner nowhere. */
export function testConfig(databaseUrl: string, keysFolder: string): Config {
  const read = readConfig({
    DATABASE_URL: databaseUrl,
    HTTP_PORT: "0",
    SESSION_SECRET: "a session secret for tests, 32 characters",
    ENROLMENT_SECRET: "the enrolment secret of a test, 32 chars",
    BROKER_CAR_SECRET: carSecret,
    KEYS_DIR: keysFolder,
    MQTT_URL: noBroker.url,
    SMTP_URL: "smtp://127.0.0.1:9",
    LOG_LEVEL: "silent",
    ...Object.fromEntries(
      ["FACTORY", "GATEWAY", "VSS", "AUTHORITY", "TRANSPORT"].flatMap((name) => [
        [`${name}_URL`, "http://127.0.0.1:9"],
        [`${name}_API_KEY`, partnerApiKey],
      ]),
    ),
    FACTORY_WEBHOOK_SECRET: factorySecret,
    GATEWAY_WEBHOOK_SECRET: gatewaySecret,
    TRANSPORT_WEBHOOK_SECRET: transportSecret,
  });
  if (read.kind === "invalid") throw new Error(read.message);
  return read.config;
}
