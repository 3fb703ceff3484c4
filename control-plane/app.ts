import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import type { Clock } from "@caas/contract/business-clock.ts";
import { sql } from "kysely";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import { createAccounts } from "./features/accounts/accounts.ts";
import { createActivations } from "./features/activations/activations.ts";
import { createCatalog } from "./features/catalog/catalog.ts";
import { seedCatalog } from "./features/catalog/seed-catalog.ts";
import { createDelivery } from "./features/delivery/delivery.ts";
import { createEntitlements } from "./features/entitlements/entitlements.ts";
import { createIdentities } from "./features/identities/identities.ts";
import { revocationChannel } from "./features/identities/revoke.ts";
import { findOffenders } from "./features/invariants/find-offenders.ts";
import { invariantRoutes } from "./features/invariants/routes.ts";
import { drawLinkCode } from "./features/linking/link-code.ts";
import { createLinking } from "./features/linking/linking.ts";
import { createMaintenance } from "./features/maintenance/maintenance.ts";
import { dispatchChannel } from "./features/manifests/change-manifest.ts";
import { createManifests } from "./features/manifests/manifests.ts";
import { createNotifications } from "./features/notifications/notifications.ts";
import { createOrders } from "./features/orders/orders.ts";
import { createPayments } from "./features/payments/payments.ts";
import { createRegistration } from "./features/registration/registration.ts";
import { createSales } from "./features/sales/sales.ts";
import { createTasks } from "./features/tasks/tasks.ts";
import { vehicleRoutes } from "./features/vehicles/routes.ts";
import { openCertificateAuthority } from "./fleet-link/certificate-authority.ts";
import { createRenewal } from "./fleet-link/certificates.ts";
import { createEnrolment } from "./fleet-link/enrolment.ts";
import { createFleetLink } from "./fleet-link/fleet-link.ts";
import { controlPlaneTlsFiles } from "./fleet-link/key-folder.ts";
import { openKeyRing } from "./fleet-link/key-ring.ts";
import { enrolmentRoutes, renewalRoutes } from "./fleet-link/routes.ts";
import { readTrustFigures } from "./fleet-link/trust-figures.ts";
import { healthRoutes, metricsRoute, timeRequests } from "./http/health-routes.ts";
import type { Routing } from "./http/routes.ts";
import { createServer } from "./http/server.ts";
import { createSessions } from "./http/sessions.ts";
import { verifyStandardWebhook, verifyStripeWebhook } from "./http/webhook-signatures.ts";
import type { Capability } from "./lifecycle/capability.ts";
import type { Context } from "./lifecycle/context.ts";
import { createPublish, type EventHandlers } from "./lifecycle/events.ts";
import { stepsChannel } from "./lifecycle/record-step.ts";
import { createMetrics } from "./metrics/metrics.ts";
import { readDepths } from "./metrics/read-depths.ts";
import { createAuthority } from "./partners/authority.ts";
import { createFactory } from "./partners/factory.ts";
import { createMail } from "./partners/mail.ts";
import { createPaymentGateway } from "./partners/payment-gateway.ts";
import { createCarrier } from "./partners/transport.ts";
import { createVss } from "./partners/vss.ts";
import { openDatabase } from "./store/database.ts";
import { type RunningJobs, startJobs } from "./store/jobs.ts";
import { migrateToLatest } from "./store/migrate.ts";
import { createStepFeed } from "./store/step-feed.ts";
import { createTimers } from "./store/timers.ts";

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

/** The only place that wires the control plane. Nothing runs before `start`. */
export async function createApp(config: Config, surroundings: Surroundings): Promise<App> {
  const { clock, realClock, random, logger } = surroundings;
  const opened = openDatabase(config.DATABASE_URL, config.DATABASE_CONNECTIONS, (error) =>
    logger.warn({ err: error }, "an idle database connection ended"),
  );
  const { db, pool } = opened;
  const metrics = createMetrics(
    () => readDepths(pool),
    async () =>
      (await findOffenders(db, clock.now())).map(({ invariant, tolerance, since }) => ({
        invariant,
        tolerance,
        ageSeconds: (clock.now().getTime() - since.getTime()) / 1_000,
      })),
    () => readTrustFigures(db, keyRing, clock),
  );
  const publish = createPublish(() => handlers);
  const context: Context = { db, clock, realClock, publish, random, logger };

  const keyRing = await openKeyRing(config.KEYS_DIR, clock);
  const certificateAuthority = await openCertificateAuthority(config.KEYS_DIR, clock);
  const steps = createStepFeed({ url: config.DATABASE_URL, channel: stepsChannel, logger });
  const mail = createMail({ url: config.SMTP_URL, from: config.MAIL_FROM });
  const vss = createVss({ baseUrl: config.VSS_URL, apiKey: config.VSS_API_KEY });

  let publicUrl = config.PUBLIC_URL ?? "";
  const enrolment = createEnrolment(context, {
    certificateAuthority,
    keyRing,
    tokenSecret: config.ENROLMENT_SECRET,
    controlPlaneUrl: () => publicUrl,
    broker: { url: config.CAR_MQTT_URL ?? config.MQTT_URL, carSecret: config.BROKER_CAR_SECRET ?? null },
  });

  const entitlements = createEntitlements(context, (tx, vehicleId) => manifests.withdraw(tx, vehicleId));
  const manifests = createManifests(context, {
    entitlements: () => entitlements,
    keySetVersion: () => keyRing.keySet.version,
  });
  const activations = createActivations(context, { manifests, entitlements });
  const notifications = createNotifications(context, { mail }, { supportEmail: config.SUPPORT_EMAIL });
  const accounts = createAccounts(context, { sendCredentials: notifications.sendCredentials });
  const sales = createSales(context, { steps });
  const payments = createPayments(context, {
    gateway: createPaymentGateway({ baseUrl: config.GATEWAY_URL, apiKey: config.GATEWAY_API_KEY }),
    verifyWebhook: verifyStripeWebhook(pairOf(config.GATEWAY_WEBHOOK_SECRET), realClock),
    presumption: {
      maxAmountCents: config.PRESUMED_PAYMENT_MAX_CENTS,
      customerCapCents: config.PRESUMED_CUSTOMER_CAP_CENTS,
      totalCapCents: config.PRESUMED_TOTAL_CAP_CENTS,
    },
    finalPayment: {
      tries: config.FINAL_PAYMENT_TRIES,
      deadlineDays: config.FINAL_PAYMENT_DEADLINE_DAYS,
    },
  });
  const orders = createOrders(context, {
    factory: createFactory({ baseUrl: config.FACTORY_URL, apiKey: config.FACTORY_API_KEY }),
    verifyWebhook: verifyStandardWebhook(pairOf(config.FACTORY_WEBHOOK_SECRET), realClock),
    enrolmentPackageFor: enrolment.packageFor,
  });
  const registration = createRegistration(context, {
    authority: createAuthority({ baseUrl: config.AUTHORITY_URL, apiKey: config.AUTHORITY_API_KEY }),
  });
  const delivery = createDelivery(context, {
    carrier: createCarrier({ baseUrl: config.TRANSPORT_URL, apiKey: config.TRANSPORT_API_KEY }),
    verifyTransportWebhook: verifyStandardWebhook(pairOf(config.TRANSPORT_WEBHOOK_SECRET), realClock),
  });
  const linking = createLinking(context, { drawCode: drawLinkCode });
  const catalog = createCatalog(context, { vss });
  const maintenance = createMaintenance(context, { vss }, { observe: metrics.maintenanceCheckTook });
  const tasks = createTasks(context);
  const link = createFleetLink(context, {
    engine: manifests,
    keyRing,
    databaseUrl: config.DATABASE_URL,
    dispatchChannel,
    revocationChannel,
    broker: await brokerAccess(config),
    metrics,
  });

  /** Who hears what. Each runs inside the publisher's transaction, in this order. */
  const handlers: EventHandlers = {
    saleRegistered: [accounts.onSaleRegistered],
    reservationPaid: [orders.onReservationPaid],
    finalPaymentReceived: [registration.onFinalPaymentReceived],
    finalPaymentDeclined: [notifications.onFinalPaymentDeclined],
    vinAssigned: [enrolment.onVinAssigned],
    vehicleMoved: [
      async (_tx, moved) => metrics.onVehicleMoved(moved),
      payments.onVehicleMoved,
      orders.onVehicleMoved,
      maintenance.onVehicleMoved,
      async (tx, { vehicleId, event }) => {
        if (event !== "appLinked") return;
        await entitlements.grantPlan(tx, vehicleId);
        await manifests.carryPlan(tx, vehicleId);
      },
    ],
    activationMoved: [
      async (_tx, moved) => metrics.onActivationMoved(moved),
      async (_tx, { event, queuedAt }) => {
        if (event === "activationConfirmed" && queuedAt !== null)
          metrics.activationTook((clock.now().getTime() - queuedAt.getTime()) / 1_000);
      },
    ],
    notificationDue: [notifications.onNotificationDue],
    notificationAccepted: [orders.onNotificationAccepted],
    taskNeeded: [tasks.onTaskNeeded, notifications.onTaskNeeded],
    maintenanceCheckRequested: [maintenance.onMaintenanceCheckRequested],
    maintenanceChecked: [activations.onMaintenanceChecked],
    servicePaymentRequested: [payments.onServicePaymentRequested],
    servicePaymentAuthorised: [activations.onPaymentAuthorised],
    servicePaymentDeclined: [activations.onPaymentDeclined],
    servicePaymentPresumed: [activations.onPaymentPresumed],
    servicePaymentAwaited: [activations.onPaymentAwaited],
    servicePaymentConfirmed: [activations.onPaymentConfirmed],
    servicePaymentRefuted: [activations.onPaymentRefuted],
    servicePaymentChargedBack: [activations.onPaymentChargedBack],
    serviceChargeBackClosed: [activations.onChargeBackClosed],
    servicePaymentRefunded: [activations.onPaymentRefunded],
    serviceCaptureRequested: [payments.onServiceCaptureRequested],
    servicePaymentCaptured: [],
    servicePaymentLost: [activations.onPaymentLost],
    serviceVoidRequested: [payments.onServiceVoidRequested],
    servicePaymentVoided: [activations.onPaymentVoided],
    attemptApplied: [activations.onAttemptApplied],
    attemptFailed: [activations.onAttemptFailed],
    changePossible: [activations.onChangePossible],
    carsConnected: [link.onCarsConnected],
    displayRequested: [link.onDisplayRequested],
  };

  const capabilities: readonly Capability[] = [
    accounts,
    sales,
    payments,
    orders,
    registration,
    delivery,
    linking,
    catalog,
    maintenance,
    notifications,
    tasks,
    activations,
    createIdentities(context),
    link,
    { timers: entitlements.timers },
    { timers: manifests.timers },
  ];

  const server = await createServer({ logger, version: surroundings.version });
  const sessions = createSessions(db, config.SESSION_SECRET, config.PUBLIC_URL ?? "http://localhost");
  const routing: Routing = { server, db, sessions };
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
  enrolmentRoutes(server, db, enrolment);
  renewalRoutes(server, db, createRenewal(context, { certificateAuthority, keyRing }));
  vehicleRoutes(routing);
  invariantRoutes(context, routing);
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
      closers.unshift(async () => mail.close());
      await migrateToLatest(config.DATABASE_URL);
      if (config.SEED_DEMO_CATALOG) await seedCatalog(db);
      await steps.start();
      const address = await server.listen({ host: config.HTTP_HOST, port: config.HTTP_PORT });
      // Together: whoever waits for a step is answered when the feed ends, and the server waits for those answers.
      closers.unshift(() => Promise.all([server.close(), steps.stop()]).then(() => undefined));
      if (publicUrl === "") publicUrl = address;
      await link.start();
      closers.unshift(link.stop);
      const jobs: RunningJobs = await startJobs({
        pool,
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

function pairOf(secrets: readonly string[]): readonly [string] | readonly [string, string] {
  const [first, second] = secrets;
  if (first === undefined) throw new Error("a webhook secret is missing");
  return second === undefined ? [first] : [first, second];
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
