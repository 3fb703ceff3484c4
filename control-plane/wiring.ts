import type pg from "pg";
import type { Config } from "./config.ts";
import { createAccounts } from "./features/accounts/accounts.ts";
import { createActivations } from "./features/activations/activations.ts";
import { createCatalog } from "./features/catalog/catalog.ts";
import { createDelivery } from "./features/delivery/delivery.ts";
import { createDesiredState } from "./features/desired-state/desired-state.ts";
import { dispatchChannel } from "./features/desired-state/dispatches.ts";
import { createDoubtHandler } from "./features/identities/doubt-cars.ts";
import { createReplacementHandler, revocationChannel } from "./features/identities/revoke.ts";
import { identityRoutes } from "./features/identities/routes.ts";
import { findOffenders } from "./features/invariants/find-offenders.ts";
import { invariantRoutes } from "./features/invariants/routes.ts";
import { drawLinkCode } from "./features/linking/link-code.ts";
import { linkingRoutes } from "./features/linking/routes.ts";
import { createMaintenance } from "./features/maintenance/maintenance.ts";
import { createNotifications } from "./features/notifications/notifications.ts";
import { createOrders } from "./features/orders/orders.ts";
import { createPayments } from "./features/payments/payments.ts";
import { createRegistration } from "./features/registration/registration.ts";
import { createRetention } from "./features/retention/retention.ts";
import { salesRoutes } from "./features/sales/routes.ts";
import { createTasks } from "./features/tasks/tasks.ts";
import { vehicleRoutes } from "./features/vehicles/routes.ts";
import type { CertificateAuthority } from "./fleet-link/certificate-authority.ts";
import { createRenewal } from "./fleet-link/certificates.ts";
import { createEnrolment } from "./fleet-link/enrolment.ts";
import { createFleetLink, type FleetLinkOptions } from "./fleet-link/fleet-link.ts";
import type { KeyRing } from "./fleet-link/key-ring.ts";
import { enrolmentRoutes, renewalRoutes } from "./fleet-link/routes.ts";
import { readTrustFigures } from "./fleet-link/trust-figures.ts";
import type { Capability } from "./http/capability.ts";
import { verifyStandardWebhook, verifyStripeWebhook } from "./http/webhook-signatures.ts";
import type { Context } from "./lifecycle/context.ts";
import { type EventHandlers, each } from "./lifecycle/events.ts";
import { type ControlPlaneMetrics, createMetrics } from "./metrics/metrics.ts";
import { readDepths } from "./metrics/read-depths.ts";
import type { Factory } from "./partners/factory.ts";
import type { Mail } from "./partners/mail.ts";
import type { PaymentGateway } from "./partners/payment-gateway.ts";
import type { RegistrationAuthority } from "./partners/registration-authority.ts";
import type { Carrier } from "./partners/transport.ts";
import type { Vss } from "./partners/vss.ts";
import type { NotifyListener } from "./store/notify-listener.ts";

/** The outside systems, each behind its interface: the edge at which a test replaces them. */
export type Partners = {
  gateway: PaymentGateway;
  factory: Factory;
  registrationAuthority: RegistrationAuthority;
  carrier: Carrier;
  vss: Vss;
  mail: Mail;
};

export type Surroundings = {
  partners: Partners;
  keyRing: KeyRing;
  certificateAuthority: CertificateAuthority;
  steps: NotifyListener;
  metrics: ControlPlaneMetrics;
  broker: FleetLinkOptions["broker"];
  /** Where cars and partners reach the REST interface. */
  publicUrl: () => string;
};

/** The metrics, with what they read of the database whenever they are asked for. */
export function watch(pool: pg.Pool, { db, clock }: Context, keyRing: KeyRing): ControlPlaneMetrics {
  return createMetrics(
    () => readDepths(pool),
    async () =>
      (await findOffenders(db, clock.now())).map(({ invariant, tolerance, since }) => ({
        invariant,
        tolerance,
        ageSeconds: (clock.now().getTime() - since.getTime()) / 1_000,
      })),
    () => readTrustFigures(db, keyRing, clock),
  );
}

export type Wiring = ReturnType<typeof wire>;

/**
 * The only place that wires the control plane: its capabilities, and which event reaches which of their handlers.
 * Nothing runs yet.
 */
export function wire(context: Context, config: Config, surroundings: Surroundings) {
  const { clock, realClock } = context;
  const { partners, keyRing, certificateAuthority, metrics } = surroundings;

  const enrolment = createEnrolment(context, {
    certificateAuthority,
    keyRing,
    tokenSecret: config.ENROLMENT_SECRET,
    controlPlaneUrl: surroundings.publicUrl,
    broker: { url: config.CAR_MQTT_URL ?? config.MQTT_URL, carSecret: config.BROKER_CAR_SECRET ?? null },
  });
  const desiredState = createDesiredState(context, () => keyRing.keySet.version);
  const activations = createActivations(context, desiredState);
  const notifications = createNotifications(
    context,
    { mail: partners.mail },
    { supportEmail: config.SUPPORT_EMAIL, timeZone: config.BUSINESS_TIME_ZONE },
  );
  const accounts = createAccounts(context, { sendCredentials: notifications.sendCredentials });
  const payments = createPayments(context, {
    gateway: partners.gateway,
    verifyWebhook: verifyStripeWebhook(pairOf(config.GATEWAY_WEBHOOK_SECRET), realClock),
    count: metrics,
    presumption: {
      maxAmountCents: config.PRESUMED_PAYMENT_MAX_CENTS,
      customerCapCents: config.PRESUMED_CUSTOMER_CAP_CENTS,
      totalCapCents: config.PRESUMED_TOTAL_CAP_CENTS,
    },
    finalPayment: {
      tries: config.FINAL_PAYMENT_TRIES,
      deadlineDays: config.FINAL_PAYMENT_DEADLINE_DAYS,
    },
    confirmation: {
      hours: config.PAYMENT_CONFIRMATION_HOURS,
      returnUrl: () => config.PAYMENT_RETURN_URL ?? surroundings.publicUrl(),
    },
    secondLookCents: config.SECOND_LOOK_CENTS,
  });
  const orders = createOrders(context, {
    factory: partners.factory,
    verifyWebhook: verifyStandardWebhook(pairOf(config.FACTORY_WEBHOOK_SECRET), realClock),
    count: metrics,
    enrolmentPackageFor: enrolment.packageFor,
  });
  const registration = createRegistration(context, partners);
  const delivery = createDelivery(
    context,
    {
      carrier: partners.carrier,
      verifyTransportWebhook: verifyStandardWebhook(pairOf(config.TRANSPORT_WEBHOOK_SECRET), realClock),
      count: metrics,
    },
    { timeZone: config.BUSINESS_TIME_ZONE },
  );
  const catalog = createCatalog(context, { vss: partners.vss });
  const maintenance = createMaintenance(
    context,
    { vss: partners.vss },
    { observe: metrics.maintenanceCheckTook, timeZone: config.BUSINESS_TIME_ZONE },
  );
  const tasks = createTasks(context);
  const retention = createRetention(context);
  const link = createFleetLink(context, {
    engine: desiredState,
    keyRing,
    databaseUrl: config.DATABASE_URL,
    dispatchChannel,
    revocationChannel,
    broker: surroundings.broker,
    metrics,
  });
  const renewal = createRenewal(context, { certificateAuthority, keyRing });

  /** Each handler runs inside the publisher's transaction, in this order. */
  const handlers: EventHandlers = {
    saleRegistered: [accounts.onSaleRegistered, payments.onSaleRegistered],
    reservationPaid: [orders.onReservationPaid],
    finalPaymentReceived: [registration.onFinalPaymentReceived],
    finalPaymentDeclined: [notifications.onFinalPaymentDeclined],
    vinAssigned: [enrolment.onVinAssigned],
    vehicleMoved: [
      each(async (_tx, moved) => metrics.onVehicleMoved(moved)),
      payments.onVehicleMoved,
      orders.onVehicleMoved,
      maintenance.onVehicleMoved,
      desiredState.onVehicleMoved,
    ],
    activationMoved: [
      each(async (_tx, moved) => metrics.onActivationMoved(moved)),
      each(async (_tx, { event, queuedAt }) => {
        if (event === "activationConfirmed" && queuedAt !== null)
          metrics.activationTook((clock.now().getTime() - queuedAt.getTime()) / 1_000);
      }),
    ],
    notificationDue: [notifications.onNotificationDue],
    notificationAccepted: [orders.onNotificationAccepted],
    taskNeeded: [tasks.onTaskNeeded, notifications.onTaskNeeded],
    secondLookTaken: [tasks.onSecondLookTaken],
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
    serviceRefundFailed: [activations.onRefundFailed],
    serviceHoldLost: [activations.onHoldLost],
    serviceCaptureRequested: [payments.onServiceCaptureRequested],
    servicePaymentCaptured: [],
    servicePaymentLost: [activations.onPaymentLost],
    serviceVoidRequested: [payments.onServiceVoidRequested],
    servicePaymentVoided: [activations.onPaymentVoided],
    attemptApplied: [activations.onAttemptApplied],
    attemptFailed: [activations.onAttemptFailed],
    changePossible: [activations.onChangePossible],
    carDoubted: [each(async (_tx, doubted) => metrics.onCarDoubted(doubted)), createDoubtHandler(context)],
    carEnrolledAgain: [createReplacementHandler(context), desiredState.onCarEnrolledAgain],
    carConnected: [link.onCarConnected],
    displayRequested: [link.onDisplayRequested],
  };

  const capabilities: readonly Capability[] = [
    { addRoutes: ({ server, db }) => enrolmentRoutes(server, db, enrolment) },
    { addRoutes: ({ server, db }) => renewalRoutes(server, db, renewal) },
    { addRoutes: vehicleRoutes },
    { addRoutes: (routing) => invariantRoutes(context, routing) },
    accounts,
    { addRoutes: (routing) => salesRoutes(context, surroundings.steps, config.BUSINESS_TIME_ZONE, routing) },
    payments,
    orders,
    registration,
    delivery,
    { addRoutes: (routing) => linkingRoutes(context, drawLinkCode, routing) },
    catalog,
    maintenance,
    notifications,
    tasks,
    retention,
    activations,
    { addRoutes: (routing) => identityRoutes(context, routing, enrolment.issueAgain) },
    link,
    desiredState,
  ];

  return {
    capabilities,
    handlers,
    activations,
    desiredState,
    enrolment,
    link,
    maintenance,
    notifications,
    registration,
    retention,
  };
}

function pairOf(secrets: readonly string[]): readonly [string] | readonly [string, string] {
  const [first, second] = secrets;
  if (first === undefined) throw new Error("a webhook secret is missing");
  return second === undefined ? [first] : [first, second];
}
