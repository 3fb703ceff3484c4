import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import type { Clock } from "@caas/contract/business-clock.ts";
import { sql } from "kysely";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import { seedCatalog } from "./features/catalog/seed-catalog.ts";
import { openCertificateAuthority } from "./fleet-link/certificate-authority.ts";
import { controlPlaneTlsFiles } from "./fleet-link/key-folder.ts";
import { openKeyRing } from "./fleet-link/key-ring.ts";
import { listSecretFiles, protectSecrets } from "./fleet-link/protect-secrets.ts";
import { holdTrustRoot } from "./fleet-link/trust-root.ts";
import { frontPage } from "./http/front-page.ts";
import { healthRoutes, metricsRoute, timeRequests } from "./http/health-routes.ts";
import type { Routing } from "./http/routes.ts";
import { createServer } from "./http/server.ts";
import { createSessions } from "./http/sessions.ts";
import type { Context } from "./lifecycle/context.ts";
import { createPublish } from "./lifecycle/events.ts";
import { stepsChannel } from "./lifecycle/record-step.ts";
import { createFactory } from "./partners/factory.ts";
import { createMail } from "./partners/mail.ts";
import { createPaymentGateway } from "./partners/payment-gateway.ts";
import { createRegistrationAuthority } from "./partners/registration-authority.ts";
import { createCarrier } from "./partners/transport.ts";
import { createVss } from "./partners/vss.ts";
import { readDecline } from "./rules/decline-table.ts";
import { openDatabase } from "./store/database.ts";
import { migrateToLatest } from "./store/migrate.ts";
import { createNotifyListener } from "./store/notify-listener.ts";
import { createTimers } from "./store/timers.ts";
import { startJobs } from "./store/work-jobs.ts";
import { type Partners, type Wiring, watch, wire } from "./wiring.ts";

export type App = {
  /** Migrates, links to the broker and listens; the address of the REST interface. */
  start(): Promise<{ http: string }>;
  /** Closes in the reverse order: deadlines and jobs, the link, the REST interface, the database. */
  stop(): Promise<void>;
  /** The REST interface described in OpenAPI 3.1; also before `start`, without a database. */
  openApi(): Promise<object>;
};

export type Surroundings = {
  clock: Clock;
  realClock: Clock;
  random: () => number;
  logger: Logger;
  version: string;
};

/** The control plane as `wiring.ts` wires it, with its partners, its database and its REST interface. Nothing runs before `start`. */
export async function createApp(config: Config, surroundings: Surroundings): Promise<App> {
  const { clock, realClock, random, logger } = surroundings;
  const opened = openDatabase(config.DATABASE_URL, config.DATABASE_CONNECTIONS, (error) =>
    logger.warn({ err: error }, "an idle database connection ended"),
  );
  const { db, pool } = opened;
  const publish = createPublish(() => wiring.handlers);
  const context: Context = { db, clock, realClock, publish, random, logger };

  for (const mended of await protectSecrets(await listSecretFiles(config.KEYS_DIR))) logger.warn(mended);
  const keyRing = await openKeyRing(config.KEYS_DIR, clock);
  const certificateAuthority = await openCertificateAuthority(config.KEYS_DIR, clock);
  const metrics = watch(pool, context, keyRing);
  const steps = createNotifyListener({ url: config.DATABASE_URL, channel: stepsChannel, logger });
  const partners = connectPartners(config);
  let publicUrl = config.PUBLIC_URL ?? "";
  const wiring: Wiring = wire(context, config, {
    partners,
    keyRing,
    certificateAuthority,
    steps,
    metrics,
    broker: await brokerAccess(config),
    publicUrl: () => publicUrl,
  });
  const { capabilities, link, retention } = wiring;

  const server = await createServer({ logger, version: surroundings.version });
  const sessions = createSessions(opened, config.SESSION_SECRET, config.PUBLIC_URL ?? "http://localhost");
  const routing: Routing = { server, db, sessions };
  frontPage(server, surroundings.version);
  timeRequests(server, metrics.requestTook);
  healthRoutes(server, {
    broker: link.isConnected,
    database: () =>
      sql`select 1`.execute(db).then(
        () => true,
        () => false,
      ),
  });
  metricsRoute(server, metrics.render);
  for (const capability of capabilities) capability.addRoutes?.(routing);

  const timers = createTimers({
    db,
    clock,
    handlers: capabilities.flatMap((capability) => capability.timers ?? []),
    logger,
  });
  /** What was started, newest first. */
  const closers: (() => Promise<void>)[] = [];

  return {
    async start() {
      closers.unshift(opened.close);
      closers.unshift(async () => partners.mail.close());
      await migrateToLatest(config.DATABASE_URL);
      await holdTrustRoot(
        db,
        { rootPublicKey: keyRing.rootPublicKey, caCertificate: certificateAuthority.caCertificate },
        { folder: config.KEYS_DIR, now: clock.now() },
      );
      if (config.SEED_DEMO_CATALOG) await seedCatalog(db);
      await retention.schedule();
      await steps.start();
      const address = await server.listen({ host: config.HTTP_HOST, port: config.HTTP_PORT });
      // Together: the end of the feed answers the callers that wait for a step, and the server waits for those answers.
      closers.unshift(() => Promise.all([server.close(), steps.stop()]).then(() => undefined));
      if (publicUrl === "") publicUrl = address;
      await link.start();
      closers.unshift(link.stop);
      const jobs = await startJobs({
        pool,
        databaseUrl: config.DATABASE_URL,
        handlers: capabilities.flatMap((capability) => capability.jobs ?? []),
        concurrency: config.JOB_CONCURRENCY,
        logger,
      });
      closers.unshift(jobs.stop);
      timers.start();
      closers.unshift(timers.stop);
      return { http: address };
    },
    async stop() {
      for (const close of closers.splice(0)) await close();
    },
    async openApi() {
      await server.ready();
      return server.swagger();
    },
  };
}

function connectPartners(config: Config): Partners {
  return {
    gateway: createPaymentGateway({
      baseUrl: config.GATEWAY_URL,
      apiKey: config.GATEWAY_API_KEY,
      readDecline,
    }),
    factory: createFactory({ baseUrl: config.FACTORY_URL, apiKey: config.FACTORY_API_KEY }),
    registrationAuthority: createRegistrationAuthority({
      baseUrl: config.AUTHORITY_URL,
      apiKey: config.AUTHORITY_API_KEY,
    }),
    carrier: createCarrier({ baseUrl: config.TRANSPORT_URL, apiKey: config.TRANSPORT_API_KEY }),
    vss: createVss({ baseUrl: config.VSS_URL, apiKey: config.VSS_API_KEY }),
    mail: createMail({ url: config.SMTP_URL, from: config.MAIL_FROM }),
  };
}

async function brokerAccess(config: Config) {
  const base = {
    url: config.MQTT_URL,
    // One session a replica; a restart of the same one takes its own place again.
    clientId: `control-plane-${hostname()}-${process.pid}`,
  };
  if (!config.MQTT_URL.startsWith("mqtts:"))
    return { ...base, username: config.MQTT_USERNAME, password: config.MQTT_PASSWORD ?? null, tls: null };
  const files = controlPlaneTlsFiles(config.KEYS_DIR);
  const [ca, key, cert] = await Promise.all(
    [files.caFile, files.keyFile, files.certificateFile].map((file) => readFile(file, "utf8")),
  );
  if (ca === undefined || key === undefined || cert === undefined) throw new Error("a TLS file is missing");
  return {
    ...base,
    username: config.MQTT_PASSWORD === undefined ? null : config.MQTT_USERNAME,
    password: config.MQTT_PASSWORD ?? null,
    tls: { ca, key, cert },
  };
}
