import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { businessClockFrom } from "@caas/contract/business-clock.ts";
import { prepareKeyFolder } from "@caas/control-plane/fleet-link/key-folder.ts";
import { addressesSchema, type StandInAddresses } from "@caas/simulator/stand-ins/addresses.ts";
import { packageFileName } from "./car-folders.ts";
import { openDataFolder } from "./data-folder.ts";
import { createDemoStaff, listStaffLogins, type StaffLogins } from "./demo-staff.ts";
import { openLogFile } from "./log-file.ts";
import {
  brokerNodeOptions,
  compileCacheFolder,
  controlPlaneNodeOptions,
  nodeOptions,
} from "./node-settings.ts";
import {
  allPartners,
  brokerEnvironment,
  carEnvironment,
  controlPlaneEnvironment,
  demoCarsEnvironment,
  type Environment,
  explainNoStory,
  type Installation,
  isSet,
  listOutsidePartners,
  restUrl,
  standInsEnvironment,
} from "./part-environments.ts";
import { choosePorts, type Ports, StartRefused } from "./ports.ts";
import { isOfFolder, startEmbeddedPostgres } from "./postgres/embedded-postgres.ts";
import type { Durability } from "./postgres/server-process.ts";
import { openSecrets } from "./secrets.ts";
import { type Rehearsal, type RunningChild, type Supervisor, superviseChildren } from "./supervise.ts";
import { warmCompileCache } from "./warm-compile-cache.ts";

export type PlatformOptions = {
  /** Holds everything that survives a restart, the logs too. Made when absent. */
  dataDir: string;
  ports: "default" | "free";
  /** Processes of the broker; more than one share the Redis that REDIS_URL names. Default 1. */
  brokers?: number;
  /** The services it names are used instead of ours: DATABASE_URL, MQTT_URL, FACTORY_URL … */
  environment: Environment;
  /** What a person should know and nothing ends for: a log that cannot be written, a file that was mended. */
  say?: (sentence: string) => void;
  /** A part ended by itself; nothing is restarted. `reason` holds its last lines. */
  onFailure: (reason: string) => void;
  /** Ends a start that is under way, which then throws. */
  signal?: AbortSignal;
  /** Default `full`; `none` for folders thrown away after the run. */
  durability?: Durability;
  /** Kills parts and has them started again. */
  rehearsal?: Rehearsal & { onLine?: (name: string, line: string) => void };
};

export type Platform = {
  dataDir: string;
  rest: string;
  ports: Ports;
  /** Of the broker's further processes. */
  siblings: readonly Ports[];
  databaseUrl: string;
  /** `null` where every partner is an outside one. */
  standIns: StandInAddresses | null;
  /** Why nobody can play the partners' people here (the factory's hand, the mailbox), or `null`. */
  whyNoStory: string | null;
  staff: StaffLogins;
  ownBroker: boolean;
  /** Holds one folder per car, for the process of many cars. */
  demoCarsFolder: string;
  /** Holds one folder per car, each for a process of its own. */
  storyCarsFolder: string;
  /** Resolves when the cars that have a folder are connected. */
  startDemoCars: () => Promise<RunningChild>;
  /** A car in a process of its own, connected when it resolves. `port` 0: any free one for its screen. */
  startCar: (car: {
    name: string;
    folder: string;
    port: number;
    probeCommand?: string;
  }) => Promise<RunningChild>;
  /** Everything, in reverse order. */
  stop: () => Promise<void>;
};

/** Per child; the tree has 5 s in all, and closing one after another rarely takes a tenth of it. */
const stopTimeoutMs = 2_000;

const entries = {
  standIns: new URL("../simulator/stand-ins/main.ts", import.meta.url),
  broker: new URL("../broker/main.ts", import.meta.url),
  controlPlane: new URL("../control-plane/main.ts", import.meta.url),
  demoCars: new URL("./demo-cars.ts", import.meta.url),
  car: new URL("../vehicle-agent/main.ts", import.meta.url),
};

/**
 * Starts the parts as child processes, concurrently where they do not need each other: database, partners, keys and
 * broker together, then the control plane, which migrates. Services that the environment names are used and not started.
 *
 * @throws StartRefused with a sentence for a person (a taken port, a folder in use); Error with a child's last lines
 */
export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  const { dataDir, signal, onFailure, say = () => undefined } = options;
  const { unlock, mended } = await openDataFolder(dataDir);
  for (const sentence of mended) say(sentence);
  const compileCache = options.environment.NODE_COMPILE_CACHE || compileCacheFolder;
  await warmCompileCache(compileCache);
  const supervisor = superviseChildren({
    logFolder: join(dataDir, "logs"),
    onTrouble: say,
    stopTimeoutMs,
    nodeOptions,
    env: { NODE_COMPILE_CACHE: compileCache },
    ...options.rehearsal,
    onUnexpectedExit: ({ name, code, signal: killedBy, lastLines }) =>
      onFailure(
        [`${name} ended by itself with ${killedBy ?? `code ${code}`}. Its last lines:`, ...lastLines].join(
          "\n",
        ),
      ),
  });
  const running: Running = { supervisor, stopDatabase: null };
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= stopAll(running).finally(unlock);
    return stopped;
  };
  // Told to end while starting: the children under way fail, and so does the start.
  const giveUp = () => void supervisor.stop();
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    signal?.throwIfAborted();
    const ports = await choosePorts(options.ports, options.environment);
    return await startParts(options, ports, running, stop);
  } catch (error) {
    await stop();
    throw error;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}

type Running = { supervisor: Supervisor; stopDatabase: (() => Promise<void>) | null };

/** The database last: all other parts write to it until the end. */
async function stopAll(running: Running): Promise<void> {
  await running.supervisor.stop();
  await running.stopDatabase?.();
}

async function startParts(
  options: PlatformOptions,
  ports: Ports,
  running: Running,
  stop: () => Promise<void>,
): Promise<Platform> {
  const { dataDir, environment } = options;
  const { supervisor } = running;
  const businessTime = environment.CAAS_BUSINESS_TIME || undefined;
  const secrets = openSecrets(dataDir);
  const further = (options.brokers ?? 1) - 1;
  if (further > 0 && !isSet(environment, "REDIS_URL"))
    throw new StartRefused("several processes of the broker share a Redis: REDIS_URL says where it is");
  const siblings = await Promise.all(Array.from({ length: further }, () => choosePorts("free", {})));
  const installation: Installation = { dataDir, ports, siblings, secrets, environment, businessTime };
  const keysDir = join(dataDir, "keys");
  mkdirSync(keysDir, { recursive: true, mode: 0o700 });
  const outside = listOutsidePartners(environment);
  const ownBroker = !isSet(environment, "MQTT_URL");

  const [databaseUrl, standIns] = await settleAll([
    provideDatabase(options, running),
    outside.length === allPartners.length ? null : startStandIns(supervisor, installation),
    prepareKeyFolder(keysDir, businessClockFrom(businessTime)).then((certificates) =>
      ownBroker
        ? Promise.all(
            [ports, ...siblings].map((own, index) => {
              const name = index === 0 ? "broker" : `broker-${index + 1}`;
              return supervisor.start({
                name,
                entry: entries.broker,
                env: brokerEnvironment(installation, certificates, name, own),
                nodeOptions: brokerNodeOptions,
              });
            }),
          )
        : null,
    ),
  ]);
  await supervisor.start({
    name: "control-plane",
    entry: entries.controlPlane,
    nodeOptions: controlPlaneNodeOptions,
    env: controlPlaneEnvironment(installation, { databaseUrl, keysDir, standIns }),
  });
  const staff = listStaffLogins(secrets);
  await createDemoStaff(databaseUrl, staff);

  const demoCarsFolder = join(dataDir, "cars");
  return {
    dataDir,
    rest: restUrl(installation),
    ports,
    siblings,
    databaseUrl,
    standIns,
    whyNoStory: explainNoStory(environment),
    staff,
    ownBroker,
    demoCarsFolder,
    storyCarsFolder: join(dataDir, "story-cars"),
    startDemoCars: () =>
      supervisor.start({
        name: "demo-cars",
        entry: entries.demoCars,
        env: demoCarsEnvironment(installation, demoCarsFolder),
      }),
    startCar: ({ name, folder, port, probeCommand }) =>
      supervisor.start({
        name,
        entry: entries.car,
        args: ["run", "--data", folder, "--package", join(folder, packageFileName)],
        env: {
          ...carEnvironment(installation, port),
          ...(probeCommand === undefined ? {} : { CAAS_AGENT_PROBE_COMMAND: probeCommand }),
        },
      }),
    stop,
  };
}

async function provideDatabase(options: PlatformOptions, running: Running): Promise<string> {
  const { dataDir, environment, durability, onFailure } = options;
  const given = environment.DATABASE_URL;
  if (given !== undefined && given !== "" && !isOfFolder(given, databaseFolder(dataDir))) return given;
  const onTrouble = options.say ?? (() => undefined);
  const log = openLogFile(join(dataDir, "logs", "postgres.log"), { onTrouble });
  const write = (message: string) => log.write(message);
  const server = await startEmbeddedPostgres({
    dataDir: databaseFolder(dataDir),
    ...(durability === undefined ? {} : { durability }),
    logger: { debug: write, info: write, warn: write },
    onUnexpectedExit: (reason) => onFailure(`PostgreSQL ended by itself. Its last lines:\n${reason}`),
  });
  running.stopDatabase = async () => {
    await server.stop();
    await log.end();
  };
  return server.url;
}

function databaseFolder(dataDir: string): string {
  return join(dataDir, "postgres");
}

async function startStandIns(supervisor: Supervisor, installation: Installation): Promise<StandInAddresses> {
  const folder = join(installation.dataDir, "partners");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { addresses } = await supervisor.start({
    name: "partners",
    entry: entries.standIns,
    env: standInsEnvironment(installation, folder),
  });
  return addressesSchema.parse(addresses);
}

/** All results, or the first failure once nothing is under way any more: nothing may start while we already close. */
async function settleAll<T extends readonly unknown[]>(work: readonly [...T]) {
  for (const result of await Promise.allSettled(work)) if (result.status === "rejected") throw result.reason;
  return Promise.all(work);
}
