import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  businessClockFrom,
  type Clock,
  formatBusinessTime,
  realClock,
} from "@caas/contract/business-clock.ts";
import { readKeyFolder } from "@caas/control-plane/fleet-link/key-ring.ts";
import { revokeKey, rotateKeys } from "@caas/control-plane/fleet-link/rotate-keys.ts";
import { type OpenDatabase, openDatabase } from "@caas/control-plane/store/database.ts";
import { CannotSimulate } from "@caas/simulator/cannot-simulate.ts";
import { explainBrokerRoom, readCapacity } from "@caas/simulator/run/capacity.ts";
import type { WantedWorld, World } from "@caas/simulator/run/world.ts";
import { withClient } from "../lab/database.ts";
import { addServices, giveLogins, registerAtWorkshops } from "../lab/owners.ts";
import { readPartTimes } from "../lab/part-times.ts";
import { findRedis, type RedisServer, startRedis } from "../lab/redis-server.ts";
import { openRollOuts } from "../lab/roll-outs.ts";
import { keysFolderOf, seedPlatform, storeCars } from "../lab/seeded-platform.ts";
import { plainBrokerUrl, tlsBrokerUrl } from "../start/part-environments.ts";
import { type Platform, startPlatform } from "../start/platform.ts";

// The whole platform, started for a simulation, with cars that SQL has put there as if they had been sold. The
// simulator itself knows nothing of the platform's insides: it gets addresses, logins and one entrance for roll-outs.

/** Waves written at one time. */
const rollOutConnections = 6;
/** A car buys each service once, so there must be some to choose from. */
const services = 40;

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
  const clock = businessClockFrom(given.businessTime ?? undefined);
  wanted.say(
    `Putting ${wanted.vehicles.toLocaleString("en")} sold, linked and enrolled cars into the database`,
  );
  const count = wanted.vehicles;
  const seeded = await seedPlatform(platform, { count, isTls: wanted.tls, clock: realClock });
  const owners = wanted.withOwners
    ? await withClient(databaseUrl, async (client) => {
        await addServices(client, services);
        return giveLogins(client, seeded);
      })
    : [];
  const opened = openDatabase(databaseUrl, rollOutConnections, () => undefined);
  return {
    describes: `the whole platform on this machine, commits on disk, ${wanted.brokers === 1 ? "" : `${wanted.brokers} brokers over Redis, `}${wanted.tls ? "mutual TLS" : "plain MQTT"}`,
    cars: await storeCars(seeded),
    packages: [],
    brokerUrl: wanted.tls ? tlsBrokerUrl(platform) : plainBrokerUrl(platform),
    restUrl: platform.rest,
    businessTime: given.businessTime,
    owners,
    changeCars: openRollOutEntrance(opened, clock),
    makeKnown:
      standIns === null
        ? null
        : (vin) => registerAtWorkshops({ vssUrl: standIns.vss, dataDir, now: new Date() }, [vin]),
    restartBroker: platform.ownBroker ? given.brokers.restart : null,
    changeKeys: openKeyCupboard(keysFolderOf(platform), clock),
    dealership:
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

/** One step of a roll-out for some cars, in one transaction as the control plane's own entrance writes it. */
function openRollOutEntrance({ db }: OpenDatabase, clock: Clock): NonNullable<World["changeCars"]> {
  const rollOuts = openRollOuts(db, clock);
  return async (vins) => {
    const links = await db
      .selectFrom("vehicle_links")
      .select("vehicle_id")
      .where("vin", "in", [...vins])
      .orderBy("vin")
      .execute();
    return rollOuts.change(
      links.map(({ vehicle_id }) => vehicle_id),
      async (tx, changed) => {
        if (changed.length === 0) return new Map();
        const rows = await tx
          .selectFrom("vehicle_links")
          .select(["vin", "unproved_version"])
          .where("vehicle_id", "in", changed)
          .execute();
        return new Map(
          rows.flatMap(({ vin, unproved_version }) =>
            unproved_version === null ? [] : [[vin, unproved_version]],
          ),
        );
      },
    );
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
