import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BusinessTimeAnchor, businessClock, formatBusinessTime } from "@caas/contract/business-clock.ts";
import { parseDeath } from "@caas/contract/failpoints.ts";
import { openKeyRing } from "@caas/control-plane/fleet-link/key-ring.ts";
import { deriveSeed } from "@caas/simulator/link/seeded-random.ts";
import { prepareBuyers } from "../lab/owners.ts";
import { type SeededCar, seedFleet } from "../lab/seed-fleet.ts";
import { type Platform, startPlatform } from "../start/platform.ts";
import { choosePorts, portTable } from "../start/ports.ts";
import { startEmbeddedPostgres } from "../start/postgres/embedded-postgres.ts";
import { openSecrets } from "../start/secrets.ts";
import type { RunningChild, UnexpectedExit } from "../start/supervise.ts";
import type { FleetSays, HeldByCar, Order, SetUp } from "./fleet-messages.ts";
import { addCounts, type FleetProcess, startFleetProcess } from "./fleet-process.ts";
import { createKillBoard, type KillBoard } from "./kill-board.ts";
import type { OtaPlan, Part, PlannedCar } from "./ota-plan.ts";

/** A car of the plan as it stands in the platform, with the session of its owner. */
export type CarInWorld = PlannedCar & { vin: string; vehicleId: string; token: string };

/** The whole platform and its cars, in processes that die and are started again. */
export type World = {
  readonly cars: readonly CarInWorld[];
  /** In the order of the plan's services. */
  readonly services: readonly { id: string; code: string; priceCents: number }[];
  readonly databaseUrl: string;
  readonly dataDir: string;
  readonly commitsFile: string;
  readonly kills: KillBoard;
  /** What went wrong that was not planned. */
  readonly failures: readonly string[];
  platform(): Platform;
  counts(): FleetSays;
  show(): Promise<HeldByCar[]>;
  tell(order: Extract<Order, { kind: "cutOff" | "reach" | "heal" }>): void;
  /** kill -9 now, or as soon as the part runs again. */
  kill(part: Part): void;
  /** Everything is closed, days of business time pass, everything is started again. */
  advance(days: number, state: { outOfReach: readonly string[]; isHealed: boolean }): Promise<void>;
  close(): Promise<void>;
};

/** Fast enough for backoffs of minutes, slow enough that a car online has seconds to answer. */
const businessTimeScale = 20;
const dayMs = 86_400_000;

const parts: Readonly<Record<string, Part>> = { "control-plane": "control-plane", broker: "broker" };

export async function openWorld(plan: OtaPlan, dataDir: string, signal: AbortSignal): Promise<World> {
  const failures: string[] = [];
  const kills = createKillBoard(plan);
  const postgres = await startEmbeddedPostgres({
    dataDir: join(dataDir, "postgres"),
    // The database is not among those that die here, so nothing it has committed is lost.
    durability: "none",
    onUnexpectedExit: (reason) => failures.push(`PostgreSQL ended by itself: ${reason}`),
  });
  const ports = await choosePorts("free", {});
  const now = Date.now();
  let anchor: BusinessTimeAnchor = { realMs: now, businessMs: now, scale: businessTimeScale };
  let platform: Platform | undefined;
  let fleets: FleetProcess[] = [];
  let pastCounts: FleetSays | undefined;
  let lives = 0;
  const pids = new Map<Part, number>();
  /** Asked for while the part was not there. */
  const owed = new Set<Part>();
  const killedByUs = new Set<number>();

  function kill(part: Part): void {
    if (part === "agents") {
      const victim = fleets[1];
      if (victim === undefined) return void owed.add(part);
      kills.firedByTheClock(part);
      victim.kill();
      return;
    }
    const pid = pids.get(part);
    if (pid === undefined) return void owed.add(part);
    owed.delete(part);
    pids.delete(part);
    killedByUs.add(pid);
    kills.firedByTheClock(part);
    process.kill(pid, "SIGKILL");
  }

  function onReady({ name, pid }: RunningChild): void {
    const part = parts[name];
    if (part === undefined) return;
    pids.set(part, pid);
    if (owed.has(part)) kill(part);
  }

  function revive({ name, signal: killedBy, lastLines }: UnexpectedExit): boolean {
    const part = parts[name];
    if (part === undefined || killedBy !== "SIGKILL") return false;
    const pid = pids.get(part);
    pids.delete(part);
    const death = lastLines.map(parseDeath).findLast((one) => one !== undefined);
    if (death !== undefined) kills.fired(part, death.name);
    else if (pid !== undefined && !killedByUs.has(pid)) {
      failures.push(`${name} was killed by somebody else`);
      return false;
    }
    return true;
  }

  function startPlatformNow(): Promise<Platform> {
    return startPlatform({
      dataDir,
      ports: "default",
      environment: {
        ...process.env,
        ...Object.fromEntries(
          Object.entries(portTable).map(([name, { variable }]) => [
            variable,
            String(Object.entries(ports).find(([one]) => one === name)?.[1] ?? 0),
          ]),
        ),
        DATABASE_URL: postgres.url,
        CAAS_BUSINESS_TIME: formatBusinessTime(anchor),
      },
      onFailure: (reason) => failures.push(reason),
      signal,
      rehearsal: {
        revive,
        onReady,
        envFor(name): Record<string, string> {
          const part = parts[name];
          return { LOG_LEVEL: "warn", ...(part === undefined ? {} : { CAAS_FAILPOINTS: kills.armed(part) }) };
        },
      },
    });
  }

  async function close(): Promise<void> {
    await Promise.all(fleets.map((fleet) => fleet.stop()));
    await platform?.stop();
    await postgres.stop();
  }

  try {
    platform = await startPlatformNow();
    const { cars, services, credentialsFiles } = await populate(plan, platform, dataDir, anchor);
    const commitsFile = join(dataDir, "commits.jsonl");

    async function startFleets(state: Pick<SetUp, "outOfReach" | "isHealed">): Promise<void> {
      lives += 1;
      const life = lives;
      const common = (host: PlannedCar["host"]): Omit<SetUp, "kind" | "storage" | "failpoints"> => ({
        credentialsFile: credentialsFiles[host],
        fates: Object.fromEntries(
          cars.filter((car) => car.host === host).map(({ vin, fate }) => [vin, fate]),
        ),
        commitsFile,
        brokerUrl: `mqtt://127.0.0.1:${ports.mqtt}`,
        businessTime: formatBusinessTime(anchor),
        // Another life, other faults: the same packets would be hit again otherwise.
        seed: deriveSeed(plan.seed, "link", life),
        link: { toCar: { ...plan.link.toCar }, fromCar: { ...plan.link.fromCar } },
        ...state,
        outOfReach: [...state.outOfReach],
      });
      const shared = { onFailure: (reason: string) => void failures.push(reason), signal };
      fleets = await Promise.all([
        startFleetProcess({
          ...shared,
          setUp: () => ({
            ...common("memory"),
            storage: { folder: join(dataDir, "fleet") },
            failpoints: "",
          }),
          onKilled: () => failures.push("the process of the cars in memory was killed by somebody else"),
        }),
        startFleetProcess({
          ...shared,
          setUp: () => ({
            ...common("disk"),
            storage: { disks: join(dataDir, "disks") },
            failpoints: kills.armed("agents"),
          }),
          onKilled: (place) => {
            if (place !== null) kills.fired("agents", place);
          },
        }),
      ]);
      if (owed.delete("agents")) kill("agents");
    }

    function counts(): FleetSays {
      const [first, ...rest] = fleets.map((fleet) => fleet.counts());
      const present = rest.reduce(addCounts, first ?? emptyCounts());
      return pastCounts === undefined ? present : addCounts(pastCounts, present);
    }

    await startFleets({ outOfReach: [], isHealed: false });
    return {
      cars,
      services,
      databaseUrl: postgres.url,
      dataDir,
      commitsFile,
      kills,
      failures,
      platform() {
        if (platform === undefined) throw new Error("the platform is closed");
        return platform;
      },
      counts,
      show: async () =>
        (await Promise.all(fleets.map((fleet) => fleet.show()))).flatMap((shown) => shown.cars),
      tell(order) {
        for (const fleet of fleets) fleet.send(order);
      },
      kill,
      async advance(days, state) {
        await Promise.all(fleets.map((fleet) => fleet.stop()));
        pastCounts = { ...counts(), connected: 0 };
        fleets = [];
        await platform?.stop();
        pids.clear();
        const realMs = Date.now();
        const businessMs = businessClock(anchor).now().getTime() + days * dayMs;
        anchor = { ...anchor, realMs, businessMs };
        platform = await startPlatformNow();
        await startFleets({ outOfReach: [...state.outOfReach], isHealed: state.isHealed });
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function emptyCounts(): FleetSays {
  return { connected: 0, applied: 0, failed: {}, refused: {}, crashes: {}, link: {} };
}

/** Cars and their owners by SQL, with proper keys, as if sold, delivered and linked. */
async function populate(plan: OtaPlan, platform: Platform, dataDir: string, anchor: BusinessTimeAnchor) {
  const clock = businessClock(anchor);
  const { standIns, databaseUrl } = platform;
  if (standIns === null) throw new Error("a rehearsal needs our own stand-ins");
  const seeded = await seedFleet({
    databaseUrl,
    count: plan.vehicles,
    keyRing: await openKeyRing(join(dataDir, "keys"), clock),
    broker: {
      url: `mqtt://127.0.0.1:${platform.ports.mqtt}`,
      carSecret: openSecrets(dataDir).BROKER_CAR_SECRET,
    },
    controlPlaneUrl: platform.rest,
    now: clock.now(),
  });
  const { buyers, serviceIds } = await prepareBuyers({
    databaseUrl,
    vssUrl: standIns.vss,
    dataDir,
    services: plan.services,
    now: clock.now(),
  });
  const tokens = new Map(buyers.map(({ vehicleId, token }) => [vehicleId, token]));
  const cars = plan.cars.map((car, index): CarInWorld => {
    const { vin, vehicleId } = seededAt(seeded, index);
    return { ...car, vin, vehicleId, token: tokens.get(vehicleId) ?? "" };
  });
  for (const { vin, fate } of cars)
    if (fate.kind === "overdue")
      await putJson(`${standIns.vss}/_control/vehicles/${vin}`, { status: "overdue" });
  mkdirSync(join(dataDir, "credentials"), { recursive: true, mode: 0o700 });
  const writeCredentials = (host: PlannedCar["host"]): string => {
    const path = join(dataDir, "credentials", `${host}.json`);
    const ofHost = seeded.filter((_, index) => plan.cars[index]?.host === host);
    writeFileSync(path, JSON.stringify(ofHost.map(({ credentials }) => credentials)), { mode: 0o600 });
    return path;
  };
  return {
    cars,
    // As prepareBuyers names and prices them.
    services: serviceIds.map((id, index) => ({ id, code: `paid${index + 1}`, priceCents: 101 + index })),
    credentialsFiles: { memory: writeCredentials("memory"), disk: writeCredentials("disk") },
  };
}

function seededAt(seeded: readonly SeededCar[], index: number): SeededCar {
  const car = seeded[index];
  if (car === undefined) throw new Error(`there is no car ${index}`);
  return car;
}

async function putJson(url: string, body: object): Promise<void> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url, { method: "PUT", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`PUT ${url} was answered with ${response.status}`);
  await response.body?.cancel();
}
