import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  businessClockFrom,
  type Clock,
  formatBusinessTime,
  realClock,
} from "@caas/contract/business-clock.ts";
import { createEntitlements } from "@caas/control-plane/features/entitlements/entitlements.ts";
import { createManifests } from "@caas/control-plane/features/manifests/manifests.ts";
import { openCertificateAuthority } from "@caas/control-plane/fleet-link/certificate-authority.ts";
import { openKeyRing, readKeyFolder } from "@caas/control-plane/fleet-link/key-ring.ts";
import { revokeKey, rotateKeys } from "@caas/control-plane/fleet-link/rotate-keys.ts";
import type { Context } from "@caas/control-plane/lifecycle/context.ts";
import { type OpenDatabase, openDatabase } from "@caas/control-plane/store/database.ts";
import { isConflict } from "@caas/control-plane/store/database-errors.ts";
import { newId } from "@caas/control-plane/store/ids.ts";
import { CannotSimulate } from "@caas/simulator/cannot-simulate.ts";
import { createCarStorage, createIntern } from "@caas/simulator/fleet/car-storage.ts";
import { installCredentials } from "@caas/simulator/fleet/credentials.ts";
import type { StoredCar } from "@caas/simulator/fleet/fleet-file.ts";
import { explainBrokerRoom, readCapacity } from "@caas/simulator/run/capacity.ts";
import type { Owner, WantedWorld, World } from "@caas/simulator/run/world.ts";
import pg from "pg";
import { pino } from "pino";
import { readPartTimes } from "../lab/part-times.ts";
import { findRedis, type RedisServer, startRedis } from "../lab/redis-server.ts";
import { type SeededCar, seedFleet } from "../lab/seed-fleet.ts";
import { plainBrokerUrl, tlsBrokerUrl } from "../start/part-environments.ts";
import { type Platform, startPlatform } from "../start/platform.ts";
import { openSecrets } from "../start/secrets.ts";

// The whole platform, started for a simulation, with cars that SQL has put there as if they had been sold. The
// simulator itself knows nothing of what is inside: it is given addresses, logins and one entrance for roll-outs.

/** As many waves are written at one time. */
const rollOutConnections = 6;
/** A car buys each service once, so there must be some to choose from. */
const services = 40;
/** As a car that was just delivered. */
const maintenancePlan = { planMonths: 12, planKm: 15_000 };
/** As often as the control plane itself tries. */
const conflictTries = 5;

/** @throws Error in words for a person */
export async function startSimulatedPlatform(wanted: WantedWorld): Promise<World> {
  const why = explainBrokerRoom(wanted.vehicles, wanted.brokers, readCapacity());
  if (why !== null) throw new CannotSimulate(why);
  const failures: string[] = [];
  const businessTime =
    wanted.timeScale === 1
      ? null
      : formatBusinessTime({ realMs: Date.now(), businessMs: Date.now(), scale: wanted.timeScale });
  const brokers = createBrokerRehearsal();
  const redis = wanted.brokers > 1 ? await provideRedis() : null;
  wanted.say(
    `Starting the platform: PostgreSQL, ${wanted.brokers === 1 ? "broker" : `${wanted.brokers} brokers over Redis`}, control plane, stand-ins for the partners`,
  );
  try {
    const platform = await startPlatform({
      dataDir: join(wanted.folder, "platform"),
      ports: "free",
      brokers: wanted.brokers,
      environment: {
        ...process.env,
        ...(redis === null ? {} : { REDIS_URL: redis.url }),
        ...(businessTime === null ? {} : { CAAS_BUSINESS_TIME: businessTime }),
      },
      onFailure: (reason) => failures.push(reason),
      signal: wanted.signal,
      rehearsal: brokers.rehearsal,
    });
    try {
      const world = await furnish(platform, wanted, { brokers, failures, businessTime });
      return { ...world, stop: () => world.stop().finally(() => redis?.stop()) };
    } catch (error) {
      await platform.stop();
      throw error;
    }
  } catch (error) {
    await redis?.stop();
    throw error;
  }
}

/** The one that REDIS_URL names, or one of our own. */
async function provideRedis(): Promise<Pick<RedisServer, "url" | "stop">> {
  const url = process.env.REDIS_URL;
  if (url !== undefined && url !== "") return { url, stop: async () => undefined };
  const found = await findRedis();
  if (found.kind === "missing")
    throw new CannotSimulate(`several brokers need a Redis, or REDIS_URL: ${found.explanation}`);
  return startRedis(found.path);
}

type BrokerRehearsal = ReturnType<typeof createBrokerRehearsal>;

async function furnish(
  platform: Platform,
  wanted: WantedWorld,
  given: { brokers: BrokerRehearsal; failures: string[]; businessTime: string | null },
): Promise<World> {
  const { databaseUrl, dataDir, ports, standIns } = platform;
  const keysDir = join(dataDir, "keys");
  const secrets = openSecrets(dataDir);
  const brokerUrl = wanted.tls ? tlsBrokerUrl(platform) : plainBrokerUrl(platform);
  wanted.say(
    `Putting ${wanted.vehicles.toLocaleString("en")} sold, linked and enrolled cars into the database`,
  );
  const seeded = await seedFleet({
    databaseUrl,
    count: wanted.vehicles,
    keyRing: await openKeyRing(keysDir, realClock),
    broker: { url: brokerUrl, carSecret: secrets.BROKER_CAR_SECRET },
    controlPlaneUrl: platform.rest,
    ...(wanted.tls ? { authority: await openCertificateAuthority(keysDir, realClock) } : {}),
    now: new Date(),
  });
  const owners = wanted.withOwners ? await giveLogins(databaseUrl, seeded) : [];
  const opened = openDatabase(databaseUrl, rollOutConnections, () => undefined);
  return {
    describes: `the whole platform on this machine, commits on disk, ${wanted.brokers === 1 ? "" : `${wanted.brokers} brokers over Redis, `}${wanted.tls ? "mutual TLS" : "plain MQTT"}`,
    cars: await storeCars(seeded),
    packages: [],
    brokerUrl,
    restUrl: platform.rest,
    businessTime: given.businessTime,
    owners,
    changeCars: openRollOutEntrance(opened, businessClockFrom(given.businessTime ?? undefined)),
    makeKnown: standIns === null ? null : registerAt(standIns.vss, secrets.VSS_API_KEY),
    restartBroker: platform.ownBroker ? given.brokers.restart : null,
    changeKeys: openKeyCupboard(keysDir, businessClockFrom(given.businessTime ?? undefined)),
    desk:
      standIns === null
        ? null
        : { ...platform.staff.sales, factoryUrl: standIns.factory, inboxUrl: standIns.inbox },
    scrape: [
      { job: "control-plane", address: new URL(platform.rest).host },
      ...(platform.ownBroker ? [ports, ...platform.siblings] : []).map(({ brokerMetrics }) => ({
        job: "broker",
        address: `127.0.0.1:${brokerMetrics}`,
      })),
    ],
    partTimes: readPartTimes,
    keepCars: null,
    failures: () => given.failures,
    async stop() {
      await opened.close();
      await platform.stop();
    },
  };
}

/** As a car's disk is after its enrolment. */
async function storeCars(seeded: readonly SeededCar[]): Promise<StoredCar[]> {
  const intern = createIntern();
  const cars: StoredCar[] = [];
  for (const { vin, credentials } of seeded) {
    if (credentials === null) continue;
    const storage = createCarStorage(intern);
    await installCredentials(storage, credentials);
    cars.push({ vin, car: storage.image() });
  }
  return cars;
}

/** Accounts with generated passwords, as a sale's mail brings them, and services to choose from. */
async function giveLogins(databaseUrl: string, seeded: readonly SeededCar[]): Promise<Owner[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ id: string; email: string }>("select id, email from customers");
    const emails = new Map(rows.map(({ id, email }) => [id, email]));
    const owners = seeded.map(({ vin, vehicleId, customerId }) => ({
      vin,
      vehicleId,
      customerId,
      userId: newId(),
      username: emails.get(customerId) ?? "",
      password: `caas-${randomBytes(24).toString("base64url")}`,
    }));
    await client.query(
      `insert into auth_users (id, name, email, "emailVerified", role, "customerId")
       select given.id, customer.name, customer.email, true, 'customer', customer.id
       from unnest($1::text[], $2::uuid[]) as given (id, customer_id)
       join customers customer on customer.id = given.customer_id`,
      [owners.map(({ userId }) => userId), owners.map(({ customerId }) => customerId)],
    );
    await client.query(
      `insert into auth_accounts (id, "userId", "accountId", "providerId", password)
       select given.id, given.user_id, given.user_id, 'credential', given.hash
       from unnest($1::text[], $2::text[], $3::text[]) as given (id, user_id, hash)`,
      [
        owners.map(() => newId()),
        owners.map(({ userId }) => userId),
        owners.map(({ password }) => `sha256$${createHash("sha256").update(password).digest("base64url")}`),
      ],
    );
    await client.query(
      `insert into catalog_services (id, code, name, description, price_cents, currency, duration_days, configuration)
       select id, 'sim' || number, 'Simulated service ' || number, 'Bought in a simulation.', 100 + number, 'EUR', 30,
              jsonb_build_object('level', number)
       from unnest($1::uuid[]) with ordinality as given (id, number)`,
      [Array.from({ length: services }, () => newId())],
    );
    return owners.map(({ vin, vehicleId, username, password }) => ({ vin, vehicleId, username, password }));
  } finally {
    await client.end();
  }
}

function registerAt(vssUrl: string, apiKey: string): (vin: string) => Promise<void> {
  return async (vin) => {
    const response = await fetch(`${vssUrl}/v1/vehicles/${vin}`, {
      method: "PUT",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ soldOn: new Date().toISOString().slice(0, 10), ...maintenancePlan }),
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`the workshops refused ${vin} with ${response.status}`);
  };
}

/** One step of a roll-out for some cars, as the control plane's own entrance writes it: one transaction a wave. */
function openRollOutEntrance({ db }: OpenDatabase, clock: Clock): NonNullable<World["changeCars"]> {
  const context: Context = {
    db,
    clock,
    realClock,
    random: Math.random,
    logger: pino({ level: "silent" }),
    publish: async (_tx, name) => {
      throw new Error(`a roll-out has nothing to say, and said ${name}`);
    },
  };
  const entitlements = createEntitlements(context, async () => undefined);
  const manifests = createManifests(context, { entitlements: () => entitlements, keySetVersion: () => 1 });
  let release = 0;

  async function changeOnce(vins: readonly string[]): Promise<Map<string, number>> {
    release += 1;
    return db.transaction().execute(async (tx) => {
      const links = await tx
        .selectFrom("vehicle_links")
        .select(["vehicle_id", "vin"])
        .where("vin", "in", [...vins])
        .orderBy("vin")
        .execute();
      const ids = links.map(({ vehicle_id }) => vehicle_id);
      const step = { code: "release", configuration: { release } };
      const { waiting } = await manifests.changeMany(tx, ids, step);
      const left = new Set(waiting);
      const carried = ids.filter((id) => !left.has(id));
      if (carried.length === 0) return new Map();
      const rows = await tx
        .selectFrom("vehicle_links")
        .select(["vin", "unproved_version"])
        .where("vehicle_id", "in", carried)
        .execute();
      return new Map(
        rows.flatMap(({ vin, unproved_version }) =>
          unproved_version === null ? [] : [[vin, unproved_version]],
        ),
      );
    });
  }

  return async (vins) => {
    for (let tries = 1; ; tries += 1)
      try {
        return await changeOnce(vins);
      } catch (error) {
        // A deadlock with what cars say ends one of the two; which, is chance.
        if (!isConflict(error) || tries === conflictTries) throw error;
      }
  };
}

/** What `caas-keys rotate` and `caas-keys revoke KID` do; the running control plane takes the new set over by itself. */
function openKeyCupboard(folder: string, clock: Clock): NonNullable<World["changeKeys"]> {
  return async (how) => {
    if (how === "rotate") return (await rotateKeys(folder, clock)).version;
    const [current] = (await readKeyFolder(folder)).keySet.keys;
    if (current === undefined) throw new Error("the key set is empty");
    return (await revokeKey(folder, clock, current.kid)).version;
  };
}

const waitFirst = fileURLToPath(new URL("./wait-first.ts", import.meta.url));

/** Ends the broker's process; the platform's supervisor starts it again in its place, after a while. */
function createBrokerRehearsal() {
  let pid: number | null = null;
  let downMs: number | null = null;
  let onBack: (() => void) | null = null;
  return {
    rehearsal: {
      revive: ({ name }: { name: string }) => name === "broker" && downMs !== null,
      envFor: (name: string): Record<string, string> =>
        name === "broker" && downMs !== null
          ? { NODE_OPTIONS: `--import ${waitFirst}`, WAIT_FIRST_MS: String(downMs) }
          : {},
      onReady(child: { name: string; pid: number }) {
        if (child.name !== "broker") return;
        pid = child.pid;
        onBack?.();
      },
    },
    restart(forMs: number, how: "kill" | "stop"): Promise<void> {
      const known = pid;
      if (known === null) return Promise.reject(new Error("no broker is running"));
      downMs = forMs;
      return new Promise((resolve) => {
        onBack = () => {
          downMs = null;
          onBack = null;
          resolve();
        };
        process.kill(known, how === "kill" ? "SIGKILL" : "SIGTERM");
      });
    },
  };
}
