import { join } from "node:path";
import {
  type BusinessTimeAnchor,
  businessClock,
  type Clock,
  formatBusinessTime,
} from "@caas/contract/business-clock.ts";
import { type Client, createClient } from "@caas/contract/client/client.ts";
import { signIn } from "@caas/contract/client/generated.ts";
import { dayMs } from "@caas/contract/durations.ts";
import { parseDeath } from "@caas/contract/failpoints.ts";
import { carKinds } from "@caas/simulator/behaviour/car-kinds.ts";
import { deriveSeed } from "@caas/simulator/chance/seeded-random.ts";
import { wordsOf } from "@caas/simulator/command/run.ts";
import type { Fate } from "@caas/simulator/fleet/profiles.ts";
import type { CarHosts } from "@caas/simulator/run/car-hosts.ts";
import type { HeldByCar } from "@caas/simulator/run/host-messages.ts";
import { keepSituation, type Situation } from "@caas/simulator/run/situation.ts";
import { openStandIn } from "@caas/simulator/stand-ins/client.ts";
import { withClient } from "../lab/database.ts";
import { addServices, registerAtWorkshops, type Service, signOwnersIn } from "../lab/owners.ts";
import { seedPlatform, steady, storeCars } from "../lab/seeded-platform.ts";
import { type Platform, startPlatform } from "../start/platform.ts";
import { choosePorts, portTable } from "../start/ports.ts";
import { startEmbeddedPostgres } from "../start/postgres/embedded-postgres.ts";
import type { RunningChild, UnexpectedExit } from "../start/supervise.ts";
import { type CustomersBank, openCustomersBank } from "./customers-bank.ts";
import { type DamagedCars, openDamagedCars } from "./damaged-cars.ts";
import { createKillBoard, type KillBoard } from "./kill-board.ts";
import type { CarFate, OtaPlan, Part, PlannedCar } from "./ota-plan.ts";
import { callTimeoutMs, createPatientFetch } from "./patient-fetch.ts";
import { type RevivedCars, startRevivedCars } from "./revived-cars.ts";

/** A car of the plan as it is in the platform, with its owner, who is signed in. */
export type RehearsedCar = PlannedCar & { vin: string; vehicleId: string; owner: Client };

/** The whole platform and its cars, in processes that die and are started again. */
export type RehearsedPlatform = {
  readonly cars: readonly RehearsedCar[];
  /** In the order of the plan's services. */
  readonly services: readonly Service[];
  readonly databaseUrl: string;
  readonly dataDir: string;
  readonly commitsFile: string;
  readonly kills: KillBoard;
  /** Purchases whose first answer the network lost. */
  lostAnswers(): number;
  /** What went wrong that was not planned. */
  readonly failures: readonly string[];
  /** Of all cars' processes in all their lives. */
  readonly situation: Readonly<Situation>;
  /** Cars that were damaged and have healed, or were enrolled again; grows. */
  readonly damagedCars: DamagedCars;
  /** Not signed in. */
  readonly client: Client;
  /** Signed in as an administrator. */
  readonly staff: Client;
  readonly bank: CustomersBank;
  platform(): Platform;
  show(): Promise<HeldByCar[]>;
  /** Out of reach without a word, as in a garage: the broker publishes the car's will. */
  cutOff(vins: readonly string[]): void;
  reach(vins: readonly string[]): void;
  /** Every connection ends, and the next ones spoil no packet. */
  heal(): void;
  /** kill -9 now, or as soon as the part runs again. */
  kill(part: Part): void;
  /** Everything is closed, days of business time pass, everything is started again; these cars are in reach then. */
  advance(days: number, back: readonly string[]): Promise<void>;
  close(): Promise<void>;
};

/** Of the purchases that were taken, one in so many loses its answer. */
const losesAnswerEvery = 8;
const purchasePath = /\/api\/vehicles\/[^/]+\/activations$/;

/** Fast enough for backoffs of minutes, slow enough that a car online has seconds to answer. */
const businessTimeScale = 20;

const parts: Readonly<Record<string, Part>> = { "control-plane": "control-plane", broker: "broker" };

export async function openRehearsedPlatform(
  plan: OtaPlan,
  dataDir: string,
  signal: AbortSignal,
): Promise<RehearsedPlatform> {
  const failures: string[] = [];
  const kills = createKillBoard(plan);
  const postgres = await startEmbeddedPostgres({
    dataDir: join(dataDir, "rehearsed-postgres"),
    // The database is not killed here, so nothing it has committed is lost.
    durability: "none",
    onUnexpectedExit: (reason) => failures.push(`PostgreSQL ended by itself: ${reason}`),
  });
  const ports = await choosePorts("free", {});
  const now = Date.now();
  let anchor: BusinessTimeAnchor = { realMs: now, businessMs: now, scale: businessTimeScale };
  let platform: Platform | undefined;
  const keeper = keepSituation();
  let lives = 0;
  let hosts: Readonly<Record<PlannedCar["host"], RevivedCars>> | null = null;
  const outOfReach = new Set<string>();
  let isHealed = false;
  const pids = new Map<Part, number>();
  /** Kills that were asked for while the part was not running. */
  const owed = new Set<Part>();
  const killedByUs = new Set<number>();

  function kill(part: Part): void {
    if (part === "agents") {
      if (hosts === null) return void owed.add(part);
      kills.firedByTheClock(part);
      hosts.disk.kill();
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
      failures.push(`${name} was killed from outside`);
      return false;
    }
    return true;
  }

  /** Started again where a part died at a planned place before it was ready, as by a supervisor of the whole. */
  async function startPlatformNow(): Promise<Platform> {
    for (;;)
      try {
        return await startPlatformOnce();
      } catch (error) {
        const why = wordsOf(error);
        const death = why
          .split("\n")
          .map(parseDeath)
          .findLast((one) => one !== undefined);
        const name = Object.keys(parts).find((one) => why.startsWith(`${one} `));
        const part = name === undefined ? undefined : parts[name];
        if (death === undefined || part === undefined || signal.aborted) throw error;
        kills.fired(part, death.name);
      }
  }

  function startPlatformOnce(): Promise<Platform> {
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

  const eachHost = (tell: (host: CarHosts) => Promise<void>): void => {
    // A process that is killed meanwhile is told by its next life's set-up.
    for (const { now } of Object.values(hosts ?? {})) {
      const host = now();
      if (host !== null) tell(host).catch(() => undefined);
    }
  };

  async function stopHosts(): Promise<void> {
    await Promise.all(Object.values(hosts ?? {}).map((host) => host.stop()));
    hosts = null;
  }

  async function close(): Promise<void> {
    await stopHosts();
    await platform?.stop();
    await postgres.stop();
  }

  try {
    platform = await startPlatformNow();
    let taken = 0;
    let lostAnswers = 0;
    function losesAnswer(address: string, method: string): boolean {
      if (method !== "POST" || !purchasePath.test(address)) return false;
      taken += 1;
      if (taken % losesAnswerEvery !== 0) return false;
      lostAnswers += 1;
      return true;
    }
    const { standIns, staff: accounts } = platform;
    if (standIns === null) throw new Error("a rehearsal needs our own stand-ins");
    const client = createClient({
      baseUrl: platform.rest,
      fetch: createPatientFetch(signal, losesAnswer),
      timeoutMs: callTimeoutMs,
    });
    const clock = businessClock(anchor);
    const { cars, services, seeded } = await populate(plan, platform, standIns.vss, client, clock);
    const { token } = await signIn(accounts.admin, client);
    const staff: Client = { ...client, token };
    const damagedCars = openDamagedCars({
      folder: join(dataDir, "cars", "disk", "cars-1"),
      cars,
      staff,
      signal,
    });
    const commitsFile = join(dataDir, "commits.jsonl");

    async function startHosts(isFirst: boolean): Promise<void> {
      // A car that proves late does so once: in its next life it comes back.
      const ofThisStart = cars.filter(({ fate }) => isFirst || fate.kind !== "provesLate");
      const fates = Object.fromEntries(ofThisStart.flatMap(({ vin, fate }) => fateOf(vin, fate)));
      const start = async (host: PlannedCar["host"]): Promise<RevivedCars> => {
        const own = seeded.filter((_, index) => plan.cars[index]?.host === host);
        const stored = isFirst ? await storeCars(own) : [];
        let hasLived = !isFirst;
        return startRevivedCars({
          beforeLife: async () => {
            if (host === "disk" && hasLived) await damagedCars.damageDue();
            hasLived = true;
          },
          onNeedsEnrolment: damagedCars.enrolAgain,
          keeper,
          nextLife: () => (lives += 1),
          onFailure: (reason) => void failures.push(reason),
          signal,
          setUp: () => ({
            folder: join(dataDir, "cars", host),
            processes: 1,
            // Other faults in another life: otherwise the same packets would be hit again.
            seed: deriveSeed(plan.seed, "link", host, lives),
            profile: { ...steady, mix: [{ kind: { ...carKinds.steady, link: { ...plan.link } }, share: 1 }] },
            world: {
              cars: stored.splice(0),
              packages: [],
              brokerUrl: `mqtt://127.0.0.1:${ports.mqtt}`,
              businessTime: formatBusinessTime(anchor),
            },
            differing: {
              storage: host === "disk" ? "disks" : "file",
              fates,
              outOfReach: [...outOfReach],
              isHealed,
              tellsOutcomes: false,
              failpoints: host === "disk" ? kills.armed("agents") : "",
              commitsFile,
            },
          }),
          onKilled(place) {
            if (host === "memory") failures.push("the process of the cars in memory was killed from outside");
            else if (place !== null) kills.fired("agents", place);
          },
        });
      };
      const [memory, disk] = await Promise.all([start("memory"), start("disk")]);
      hosts = { memory, disk };
      if (owed.delete("agents")) kill("agents");
    }

    await startHosts(true);
    return {
      cars,
      services,
      databaseUrl: postgres.url,
      dataDir,
      commitsFile,
      kills,
      lostAnswers: () => lostAnswers,
      damagedCars,
      staff,
      bank: openCustomersBank(standIns.gateway, signal),
      failures,
      situation: keeper.now,
      client,
      platform() {
        if (platform === undefined) throw new Error("the platform is closed");
        return platform;
      },
      show: async () => (await Promise.all(Object.values(hosts ?? {}).map((host) => host.show()))).flat(),
      cutOff(vins) {
        for (const vin of vins) outOfReach.add(vin);
        eachHost((host) => host.cutOff(vins));
      },
      reach(vins) {
        for (const vin of vins) outOfReach.delete(vin);
        eachHost((host) => host.reach(vins));
      },
      heal() {
        isHealed = true;
        eachHost((host) => host.heal());
      },
      kill,
      async advance(days, back) {
        await stopHosts();
        for (const vin of back) outOfReach.delete(vin);
        await platform?.stop();
        pids.clear();
        const realMs = Date.now();
        const businessMs = businessClock(anchor).now().getTime() + days * dayMs;
        anchor = { ...anchor, realMs, businessMs };
        platform = await startPlatformNow();
        await startHosts(false);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The car's own part in its fate; the link's and the workshops' is elsewhere. */
function fateOf(vin: string, fate: CarFate): [string, Fate][] {
  switch (fate.kind) {
    case "crashes":
    case "wrongClock":
      return [[vin, fate]];
    case "provesLate":
      return [[vin, { kind: "crashes", at: "afterOutcome", passage: 1, staysAway: true }]];
    case "rejects":
      return [[vin, { kind: "rejects", detail: "this car takes nothing" }]];
    case "unhealthy": {
      const crash = fate.crash === null ? {} : { crash: fate.crash };
      return [[vin, { kind: "unhealthy", reason: "this car falls ill", ...crash }]];
    }
    default:
      return [];
  }
}

/** Cars and their owners by SQL, with proper keys, as if sold, delivered and linked. */
async function populate(plan: OtaPlan, platform: Platform, vssUrl: string, client: Client, clock: Clock) {
  const { databaseUrl, dataDir } = platform;
  const seeded = await seedPlatform(platform, { count: plan.vehicles, isTls: false, clock });
  const { services, buyers } = await withClient(databaseUrl, async (database) => ({
    services: await addServices(database, plan.services),
    buyers: await signOwnersIn(database, seeded),
  }));
  await registerAtWorkshops(
    { vssUrl, dataDir, now: clock.now() },
    seeded.map(({ vin }) => vin),
  );
  const cars = plan.cars.map((car, index): RehearsedCar => {
    const [place, buyer] = [seeded[index], buyers[index]];
    if (place === undefined || buyer === undefined) throw new Error(`there is no car ${index}`);
    return { ...car, vin: place.vin, vehicleId: place.vehicleId, owner: { ...client, token: buyer.token } };
  });
  const workshops = openStandIn(vssUrl);
  for (const { vin, fate } of cars)
    if (fate.kind === "overdue") await workshops.put(`/_control/vehicles/${vin}`, { status: "overdue" });
  return { cars, services, seeded };
}
