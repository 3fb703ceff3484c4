import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Broker, type BrokerAddresses, createBroker } from "@caas/broker/broker.ts";
import { realClock } from "@caas/contract/business-clock.ts";
import { checkDigit, parseVin } from "@caas/contract/vin.ts";
import { type Agent, createAgent } from "@caas/vehicle-agent/agent.ts";
import { agentClock } from "@caas/vehicle-agent/clock/agent-clock.ts";
import { enrol } from "@caas/vehicle-agent/identity/enrol.ts";
import { createMqttTransport } from "@caas/vehicle-agent/link/mqtt-transport.ts";
import { type AgentStorage, createMemoryStorage } from "@caas/vehicle-agent/storage/storage.ts";
import { createFaultyAdapter, type FaultyAdapter } from "@caas/vehicle-agent/testing/faulty-adapter.ts";
import { pino } from "pino";
import { createAccounts } from "../features/accounts/accounts.ts";
import type { Activations } from "../features/activations/activations.ts";
import { createActivations } from "../features/activations/activations.ts";
import { selectService } from "../features/activations/select-service.ts";
import { createEntitlements, type Entitlements } from "../features/entitlements/entitlements.ts";
import { createIdentities } from "../features/identities/identities.ts";
import { revocationChannel } from "../features/identities/revoke.ts";
import { dispatchChannel } from "../features/manifests/change-manifest.ts";
import { createManifests, type Manifests } from "../features/manifests/manifests.ts";
import { openCertificateAuthority } from "../fleet-link/certificate-authority.ts";
import { createRenewal } from "../fleet-link/certificates.ts";
import { createEnrolment, type Enrolment } from "../fleet-link/enrolment.ts";
import { createFleetLink, type FleetLink } from "../fleet-link/fleet-link.ts";
import { type KeyRing, openKeyRing } from "../fleet-link/key-ring.ts";
import { enrolmentRoutes, renewalRoutes } from "../fleet-link/routes.ts";
import type { Capability } from "../lifecycle/capability.ts";
import type { Context } from "../lifecycle/context.ts";
import { type EventHandlers, each } from "../lifecycle/events.ts";
import { newId } from "../store/ids.ts";
import { createTestPlatform, type TestPlatform } from "./harness.ts";

const carSecret = "the cars' secret of a test, 32 characters";
const controlPlanePassword = "the control plane's password in a test";
const dayMs = 86_400_000;

/** A car with its owner, its agent's memory, and the faults a test gives it. */
export type TestCar = {
  vehicleId: string;
  customerId: string;
  vin: string;
  adapter: FaultyAdapter;
  /** The agent that runs now. */
  agent(): Agent;
  drive(): Promise<void>;
  park(): Promise<void>;
};

export type CarPark = {
  platform: TestPlatform;
  manifests: Manifests;
  entitlements: Entitlements;
  activations: Activations;
  enrolment: Enrolment;
  link: FleetLink;
  keyRing: KeyRing;
  keysFolder: string;
  /** Where its REST interface listens. */
  controlPlaneUrl: string;
  broker: BrokerAddresses;
  /** What a car's password is made of. */
  carSecret: string;
  /** Every session, presence and message it held is gone; it comes back at the same port when `meanwhile` is over. */
  restartBroker(meanwhile?: () => Promise<void>): Promise<void>;
  /** What the gate and the bank will say; the captures and voids they were asked for. */
  world: {
    maintenance: "current" | "overdue" | "unavailable";
    bank: "authorise" | "decline";
    captured: string[];
    voided: string[];
    tickets: string[];
  };
  serviceId(code: string): string;
  /** A linked, operational car of its own customer, enrolled; online unless told otherwise. */
  addCar(options?: { online?: boolean }): Promise<TestCar>;
  /** The customer selects a service; its activation's id. */
  buy(car: TestCar, code: string): Promise<string>;
  stateOf(activationId: string): Promise<string>;
  /** Waits, woken by committed steps, until the activation is in `state`. */
  waitFor(activationId: string, state: string): Promise<void>;
  close(): Promise<void>;
};

export type CarParkOptions = {
  /** Puts a real capability in the place of what the bank says in `world`: its handlers replace those of `world`. */
  bank?: (context: Context) => { capability: Capability; handlers: Partial<EventHandlers> };
};

const services = [
  { code: "heatedSeats", dependsOnMaintenance: true },
  { code: "highwayAssist", dependsOnMaintenance: true },
  { code: "ambientLight", dependsOnMaintenance: false },
] as const;

/**
 * The over-the-air half of the platform on real parts: PostgreSQL, broker, agents, enrolment over HTTP. The
 * workshops and the bank answer at once as `world` says; their own clients are tested elsewhere.
 */
export async function createCarPark(options: CarParkOptions = {}): Promise<CarPark> {
  const folder = await mkdtemp(join(tmpdir(), "caas-car-park-"));
  const logger = pino({ level: process.env.TEST_LOG ?? "silent" });
  const keysFolder = join(folder, "keys");
  const keyRing = await openKeyRing(keysFolder, realClock);
  const makeBroker = (port: number): Broker =>
    createBroker({
      policy: "fleet",
      tcp: { host: "127.0.0.1", port },
      passwords: { carSecret, controlPlanePassword },
      now: () => new Date(),
      log: logger,
      metrics: { host: "127.0.0.1", port: 0 },
      rootPublicKey: keyRing.rootPublicKey,
    });
  let broker = makeBroker(0);
  const brokerAddresses = await broker.start();
  const { tcpPort } = brokerAddresses;
  const brokerUrl = `mqtt://127.0.0.1:${tcpPort}`;
  const world: CarPark["world"] = {
    maintenance: "current",
    bank: "authorise",
    captured: [],
    voided: [],
    tickets: [],
  };
  let parts: Pick<CarPark, "manifests" | "entitlements" | "activations"> | undefined;

  const platform = await createTestPlatform(
    (context) => {
      const entitlements = createEntitlements(context, (tx, vehicleId) => manifests.withdraw(tx, vehicleId));
      const manifests = createManifests(context, {
        entitlements: () => entitlements,
        keySetVersion: () => keyRing.keySet.version,
      });
      const activations = createActivations(context, { manifests, entitlements });
      parts = { manifests, entitlements, activations };
      const bank = options.bank?.(context);
      return {
        capabilities: [
          activations,
          { timers: entitlements.timers },
          { timers: manifests.timers },
          ...(bank === undefined ? [] : [bank.capability]),
        ],
        handlers: {
          maintenanceCheckRequested: [
            each((tx, { activationId }) =>
              context.publish(tx, "maintenanceChecked", [{ activationId, status: world.maintenance }]),
            ),
          ],
          maintenanceChecked: [activations.onMaintenanceChecked],
          servicePaymentRequested: [
            each((tx, { activationId }) =>
              world.bank === "authorise"
                ? context.publish(tx, "servicePaymentAuthorised", [
                    {
                      activationId,
                      paymentId: newId(),
                      captureBefore: new Date(context.clock.now().getTime() + 7 * dayMs),
                    },
                  ])
                : context.publish(tx, "servicePaymentDeclined", [
                    {
                      activationId,
                      paymentId: newId(),
                      reason: "card_declined",
                    },
                  ]),
            ),
          ],
          servicePaymentAuthorised: [activations.onPaymentAuthorised],
          servicePaymentDeclined: [activations.onPaymentDeclined],
          serviceCaptureRequested: [
            each(async (_tx, { activationId }) => {
              world.captured.push(activationId);
            }),
          ],
          serviceVoidRequested: [
            each(async (tx, { activationId }) => {
              world.voided.push(activationId);
              await context.publish(tx, "servicePaymentVoided", [{ activationId, paymentId: null }]);
            }),
          ],
          servicePaymentPresumed: [activations.onPaymentPresumed],
          servicePaymentAwaited: [activations.onPaymentAwaited],
          servicePaymentConfirmed: [activations.onPaymentConfirmed],
          servicePaymentRefuted: [activations.onPaymentRefuted],
          servicePaymentChargedBack: [activations.onPaymentChargedBack],
          serviceChargeBackClosed: [activations.onChargeBackClosed],
          servicePaymentRefunded: [activations.onPaymentRefunded],
          servicePaymentVoided: [activations.onPaymentVoided],
          servicePaymentLost: [activations.onPaymentLost],
          changePossible: [activations.onChangePossible],
          attemptApplied: [activations.onAttemptApplied],
          attemptFailed: [activations.onAttemptFailed],
          taskNeeded: [
            each(async (_tx, { kind }) => {
              world.tickets.push(kind);
            }),
          ],
          ...bank?.handlers,
        },
      };
    },
    { name: "carpark", startAt: new Date() },
  );
  if (parts === undefined) throw new Error("the platform was not wired");
  const { context, db, clock } = platform;
  const authority = await openCertificateAuthority(keysFolder, clock);
  const controlPlaneUrl = { current: "" };
  const enrolment = createEnrolment(context, {
    certificateAuthority: authority,
    keyRing,
    tokenSecret: "the enrolment secret of a test, 32 chars",
    controlPlaneUrl: () => controlPlaneUrl.current,
    broker: { url: brokerUrl, carSecret },
  });
  enrolmentRoutes(platform.server, db, enrolment);
  renewalRoutes(platform.server, db, createRenewal(context, { certificateAuthority: authority, keyRing }));
  createIdentities(context).addRoutes?.(platform.routing);
  createAccounts(context, { sendCredentials: async () => ({ providerId: "none" }) }).addRoutes?.(
    platform.routing,
  );
  controlPlaneUrl.current = await platform.listen();
  const { databaseUrl } = platform;
  const link = createFleetLink(context, {
    engine: parts.manifests,
    keyRing,
    databaseUrl,
    dispatchChannel,
    revocationChannel,
    broker: {
      url: brokerUrl,
      clientId: "control-plane-test",
      username: "control-plane",
      password: controlPlanePassword,
      tls: null,
    },
  });
  await link.start();
  await link.connected();
  const serviceIds = await seed(platform);
  const cars: TestCar[] = [];
  let carNumber = 0;
  const { manifests, entitlements, activations } = parts;

  async function addCar(options: { online?: boolean } = {}): Promise<TestCar> {
    carNumber += 1;
    const number = String(carNumber).padStart(6, "0");
    const car = await addVehicle(platform, number);
    await db
      .transaction()
      .execute((tx) => enrolment.onVinAssigned(tx, [{ ...car, expedienteId: car.expedienteId }]));
    const storage: AgentStorage = createMemoryStorage();
    const enrolled = await enrol({
      package: await enrolment.packageFor(car.vehicleId),
      storage,
      random: Math.random,
    });
    if (enrolled.kind !== "enrolled") throw new Error(`a test car could not enrol: ${enrolled.detail}`);
    const { identity } = enrolled;
    const adapter = createFaultyAdapter();
    let agent: Agent | undefined;
    const added: TestCar = {
      ...car,
      adapter,
      agent() {
        if (agent === undefined) throw new Error("this car is parked");
        return agent;
      },
      async drive() {
        const starting = createAgent({
          identity,
          storage,
          adapter,
          transport: createMqttTransport({
            ...identity.broker,
            tls: { certificate: identity.certificate, key: identity.tlsKeyPem, ca: identity.brokerCa },
          }),
          clock: agentClock(),
          random: Math.random,
          logger,
        });
        agent = starting;
        const connected = new Promise<void>((resolve) => starting.once("connected", () => resolve()));
        await starting.start();
        await connected;
      },
      async park() {
        await agent?.stop();
        agent = undefined;
      },
    };
    cars.push(added);
    if (options.online !== false) await added.drive();
    return added;
  }

  function serviceId(code: string): string {
    const id = serviceIds.get(code);
    if (id === undefined) throw new Error(`no service ${code}`);
    return id;
  }

  async function stateOf(activationId: string): Promise<string> {
    return (
      await db
        .selectFrom("activations")
        .select("state")
        .where("id", "=", activationId)
        .executeTakeFirstOrThrow()
    ).state;
  }

  return {
    platform,
    manifests,
    entitlements,
    activations,
    enrolment,
    link,
    keyRing,
    keysFolder,
    controlPlaneUrl: controlPlaneUrl.current,
    broker: brokerAddresses,
    carSecret,
    async restartBroker(meanwhile = async () => {}) {
      await broker.stop();
      await meanwhile();
      broker = makeBroker(tcpPort ?? 0);
      await broker.start();
    },
    world,
    serviceId,
    addCar,
    async buy(car, code) {
      const selected = await db.transaction().execute((tx) =>
        selectService(context, tx, {
          vehicleId: car.vehicleId,
          serviceId: serviceId(code),
          customerId: car.customerId,
          paymentMethod: "pm_card_visa",
          terms: 1,
          actor: { kind: "customer", id: car.customerId },
        }),
      );
      if (selected.kind === "refused") throw new Error(selected.detail);
      return selected.activationId;
    },
    stateOf,
    async waitFor(activationId, state) {
      await platform.waitUntil(`activation in ${state}`, async () =>
        (await stateOf(activationId)) === state ? true : undefined,
      );
    },
    async close() {
      for (const car of cars) await car.park();
      await link.stop();
      await broker.stop();
      await platform.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function seed({ db }: TestPlatform): Promise<Map<string, string>> {
  await db
    .insertInto("catalog_plans")
    .values({
      code: "urban",
      name: "Urban",
      price_cents: 2_990_000,
      reservation_cents: 50_000,
      configuration: JSON.stringify({ display: "standard" }),
      maintenance_months: 12,
      maintenance_km: 15_000,
    })
    .execute();
  await db
    .insertInto("catalog_options")
    .values({
      code: "towBar",
      name: "Tow bar",
      price_cents: 90_000,
      configuration: JSON.stringify({ towing: true }),
    })
    .execute();
  const ids = new Map<string, string>();
  for (const service of services) {
    const id = newId();
    ids.set(service.code, id);
    await db
      .insertInto("catalog_services")
      .values({
        id,
        code: service.code,
        name: service.code,
        description: "of a test",
        price_cents: 1_900,
        currency: "EUR",
        duration_days: 30,
        depends_on_maintenance: service.dependsOnMaintenance,
        configuration: JSON.stringify({ [service.code]: true }),
      })
      .execute();
  }
  return ids;
}

/** A car that was sold, delivered and linked: what the business path would have written. */
async function addVehicle({ db, clock }: TestPlatform, number: string) {
  const [vehicleId, customerId, dealershipId, expedienteId] = [newId(), newId(), newId(), newId()];
  const at = clock.now();
  const vin = withCheckDigit(`WCAZZZ1B0TA${number}`);
  await db
    .insertInto("dealerships")
    .values({ id: dealershipId, name: `Dealership ${number}` })
    .execute();
  await db
    .insertInto("auth_users")
    .values({
      id: `staff-${number}`,
      name: "Staff",
      email: `staff-${number}@caas.example`,
      role: "sales",
      dealershipId,
    })
    .execute();
  await db
    .insertInto("customers")
    .values({
      id: customerId,
      name: "Customer",
      email: `customer-${number}@caas.example`,
      phone: "+34600000000",
      address: JSON.stringify({
        street: "Calle Mayor 1",
        city: "Madrid",
        postalCode: "28013",
        country: "ES",
      }),
      created_at: at,
    })
    .execute();
  await db
    .insertInto("vehicles")
    .values({
      id: vehicleId,
      vin,
      state: "Operational",
      owner_customer_id: customerId,
      physically_delivered: true,
      app_linked_at: at,
      created_at: at,
    })
    .execute();
  await db
    .insertInto("expedientes")
    .values({
      id: expedienteId,
      reference: `EXP-${number}`,
      customer_id: customerId,
      dealership_id: dealershipId,
      vehicle_id: vehicleId,
      sold_by: `staff-${number}`,
      plan_comercial: JSON.stringify({
        base: { code: "urban", name: "Urban", priceCents: 2_990_000 },
        options: [{ code: "towBar", name: "Tow bar", priceCents: 90_000 }],
      }),
      price_cents: 3_080_000,
      reservation_cents: 50_000,
      currency: "EUR",
      created_at: at,
    })
    .execute();
  return { vehicleId, customerId, expedienteId, vin };
}

function withCheckDigit(text: string): string {
  return parseVin(`${text.slice(0, 8)}${checkDigit(text)}${text.slice(9)}`);
}
