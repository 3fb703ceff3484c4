import { EventEmitter } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { listBrokerAddresses } from "@caas/contract/broker-addresses.ts";
import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import type { Outcome } from "@caas/contract/report.ts";
import { explainVin, parseVin, type Vin } from "@caas/contract/vin.ts";
import type { AgentLogger } from "@caas/vehicle-agent/agent-parts.ts";
import { type AgentClock, agentClock } from "@caas/vehicle-agent/clock/agent-clock.ts";
import type { Failpoint } from "@caas/vehicle-agent/failpoints.ts";
import {
  type CarIdentity,
  type LinkCredential,
  loadIdentity,
} from "@caas/vehicle-agent/identity/identity.ts";
import type { TlsCredential } from "@caas/vehicle-agent/link/server-trust.ts";
import type { AgentMetrics } from "@caas/vehicle-agent/metrics.ts";
import { type AgentStorage, openDirectoryStorage } from "@caas/vehicle-agent/storage/storage.ts";
import { pino } from "pino";
import { deriveSeed, seededRandom } from "../chance/seeded-random.ts";
import { createKeepAliveWheel } from "../link/keep-alive-wheel.ts";
import { createLightTransport, loopbackAddressOf } from "../link/light-transport.ts";
import type { LossyLink } from "../link/lossy-link.ts";
import { forEachAtOnce } from "../run/pace.ts";
import { type CarStorage, createCarStorage, createIntern } from "./car-storage.ts";
import { type CarCredentials, enrolAll, installCredentials } from "./credentials.ts";
import { type CarWitness, FleetCar } from "./fleet-car.ts";
import { countOne, countOutcome, createFleetCounts, type FleetCounts } from "./fleet-counts.ts";
import { fleetFileName, readFleetFile, writeFleetFile } from "./fleet-file.ts";
import { type CarProfile, clockOf, healthy } from "./profiles.ts";

export type FleetOptions = {
  /** Cars whose rows are in the database already. */
  credentials?: readonly CarCredentials[];
  /** Cars that enrol themselves over HTTP. */
  packages?: readonly EnrolmentPackage[];
  /**
   * `memory` forgets the cars with the process. A folder keeps all of them in one file, written when the fleet stops:
   * those of the last run are there again, and only new ones are enrolled. `disks` gives each car a folder of its own
   * below it, as in a car: nothing is lost when this process is killed.
   */
  storage: "memory" | { folder: string } | { disks: string };
  /** Decides the jitter of every car. */
  seed: number;
  /** Replaces the broker's address that enrolment gave. */
  brokerUrl?: string;
  /** Healthy without it. */
  profileOf?: (vin: Vin) => CarProfile;
  /** Passed by every car at every step; may end the process. */
  failpoint?: Failpoint;
  /** A bad link under every car. */
  lossyLink?: LossyLink;
  /** Cars of the same machine in other processes: these come from the loopback addresses after theirs. */
  firstIndex?: number;
  /** Cars that come up at once; default 64: more only fight for the processor. */
  comingUpAtOnce?: number;
  /** Business time is real time without it. */
  clock?: AgentClock;
  /** Silent without it. */
  logger?: AgentLogger;
  /** Shared by all cars. */
  metrics?: AgentMetrics;
};

export type FleetEvents = {
  connected: [vin: Vin];
  disconnected: [vin: Vin, reason: string];
  /** Once a version and car. */
  outcome: [vin: Vin, outcome: Outcome];
  /** A version that had been processed was processed again, which must not happen. */
  outcomeAgain: [vin: Vin, outcome: Outcome];
  reported: [vin: Vin, seq: number];
  refused: [vin: Vin, reason: string];
  crashed: [vin: Vin, at: string];
  /** It has lost what proves it, and stays down until it is enrolled again. */
  needsEnrolment: [vin: Vin];
};

export type Fleet = EventEmitter<FleetEvents> & {
  readonly cars: ReadonlyMap<Vin, FleetCar>;
  /** Kept up to date; a copy is the caller's business. */
  readonly counts: Readonly<FleetCounts>;
  /** Wakes every car, a few at once; resolves when each has connected or failed to for the first time. */
  start(): Promise<void>;
  /** Sends every car to sleep and, with a folder, writes the fleet down. */
  stop(): Promise<void>;
  /** Resolves as soon as `isReached` is true after some event of the fleet, or is true now. */
  until(isReached: () => boolean): Promise<void>;
};

const defaultComingUpAtOnce = 64;

/**
 * Thousands of real agents in this process, each with its own keys, storage and connection.
 * @throws Error when a car cannot be enrolled or the fleet's file is damaged.
 */
export async function createFleet(options: FleetOptions): Promise<Fleet> {
  const { storage, seed, comingUpAtOnce = defaultComingUpAtOnce } = options;
  const file = storage !== "memory" && "folder" in storage ? join(storage.folder, fleetFileName) : null;
  const inMemory = new Map<Vin, CarStorage>();
  const storages =
    storage !== "memory" && "disks" in storage
      ? await openDisks(options, storage.disks)
      : await assembleStorages(options, file, inMemory);
  const events = new EventEmitter<FleetEvents>();
  const counts = createFleetCounts(storages.size);
  const waiting = new Set<() => void>();
  const stirred = (): void => {
    for (const check of waiting) check();
  };

  const witness: CarWitness = {
    connected(vin) {
      counts.connected += 1;
      events.emit("connected", vin);
      stirred();
    },
    disconnected(vin, reason) {
      counts.connected -= 1;
      events.emit("disconnected", vin, reason);
      stirred();
    },
    processed(vin, outcome) {
      countOutcome(counts, outcome);
      events.emit("outcome", vin, outcome);
      stirred();
    },
    processedAgain(vin, outcome) {
      counts.doubleApplies += 1;
      events.emit("outcomeAgain", vin, outcome);
    },
    reported(vin, seq) {
      counts.reports += 1;
      events.emit("reported", vin, seq);
      stirred();
    },
    refused(vin, reason) {
      countOne(counts.refused, reason);
      events.emit("refused", vin, reason);
    },
    crashed(vin, at) {
      countOne(counts.crashes, at);
      events.emit("crashed", vin, at);
    },
    needsEnrolment: (vin) => void events.emit("needsEnrolment", vin),
  };

  const transportOf = createTransports(options);
  const clock = options.clock ?? agentClock();
  const logger = options.logger ?? pino({ level: "silent" });
  const cars = new Map<Vin, FleetCar>();
  for (const [vin, carStorage] of storages) {
    const index = (options.firstIndex ?? 0) + cars.size;
    const profile = options.profileOf?.(vin) ?? healthy;
    const car = new FleetCar({
      vin,
      storage: carStorage,
      profile,
      transportOf: (identity, credential) => transportOf(identity, credential, index),
      witness,
      clock: clockOf(profile, clock),
      random: seededRandom(deriveSeed(seed, "jitter", vin)),
      logger,
      metrics: options.metrics,
      ...(options.failpoint === undefined ? {} : { failpoint: options.failpoint }),
    });
    cars.set(vin, car);
  }

  return Object.assign(events, {
    cars,
    counts,
    start: () => forEachAtOnce(cars.values(), comingUpAtOnce, (car) => car.wake()),
    async stop() {
      await forEachAtOnce(cars.values(), comingUpAtOnce, (car) => car.sleep());
      await writeStorages(file, inMemory);
    },
    until(isReached: () => boolean) {
      if (isReached()) return Promise.resolve();
      return new Promise<void>((resolve) => {
        const check = (): void => {
          if (!isReached()) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
      });
    },
  });
}

async function openDisks(options: FleetOptions, folder: string): Promise<ReadonlyMap<Vin, AgentStorage>> {
  if (options.packages !== undefined) throw new Error("cars on disks of their own are enrolled already");
  for (const credentials of options.credentials ?? []) {
    const storage = await openDirectoryStorage(join(folder, credentials.vin));
    if ((await loadIdentity(storage)) === null) await installCredentials(storage, credentials);
  }
  const storages = new Map<Vin, AgentStorage>();
  for (const name of readdirSync(folder).sort())
    if (explainVin(name) === null)
      storages.set(parseVin(name), await openDirectoryStorage(join(folder, name)));
  return storages;
}

/** Fills `storages`, and returns it. */
async function assembleStorages(
  options: FleetOptions,
  file: string | null,
  storages: Map<Vin, CarStorage>,
): Promise<ReadonlyMap<Vin, CarStorage>> {
  const intern = createIntern();
  const stored = file === null ? [] : await readFleetFile(file);
  for (const { vin, car } of stored) storages.set(vin, createCarStorage(intern, car));
  for (const credentials of options.credentials ?? []) {
    if (storages.has(credentials.vin)) continue;
    const storage = createCarStorage(intern);
    await installCredentials(storage, credentials);
    storages.set(credentials.vin, storage);
  }
  // Those of the folder too: an earlier run may have ended between a car's keys and its certificate.
  const enrolling = (options.packages ?? []).map((given) => {
    const storage = storages.get(given.vin) ?? createCarStorage(intern);
    storages.set(given.vin, storage);
    return { storage, package: given };
  });
  try {
    await enrolAll(enrolling, seededRandom(deriveSeed(options.seed, "enrolment")));
  } finally {
    // Also after a failure: a token is bound to the first keys that the control plane saw with it.
    await writeStorages(file, storages);
  }
  return storages;
}

async function writeStorages(file: string | null, storages: ReadonlyMap<Vin, CarStorage>): Promise<void> {
  if (file === null) return;
  await writeFleetFile(
    file,
    storages.entries().map(([vin, storage]) => ({ vin, car: storage.image() })),
  );
}

/** The `index` of a car decides from which loopback address it comes. */
function createTransports(options: FleetOptions) {
  const keepAlive = createKeepAliveWheel();
  return (identity: CarIdentity, credential: () => LinkCredential, index: number) => {
    const url = options.brokerUrl ?? identity.broker.url;
    const { username, password } = identity.broker;
    const isTls = url.startsWith("mqtts:");
    const tls = (): TlsCredential => {
      const { certificate, tlsKeyPem: key, brokerCa: ca } = credential();
      return { certificate, key, ca };
    };
    const transport = createLightTransport({
      url,
      username,
      password,
      tls: isTls ? tls : null,
      keepAlive,
      localAddress: isLoopback(url) ? loopbackAddressOf(index) : undefined,
    });
    return options.lossyLink?.(identity.vin, transport) ?? transport;
  };
}

function isLoopback(url: string): boolean {
  return listBrokerAddresses(url).every((address) => new URL(address).hostname.startsWith("127."));
}
