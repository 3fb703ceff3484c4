import { once } from "node:events";
import { join } from "node:path";
import { type Clock, realClock } from "@caas/contract/business-clock.ts";
import { openCertificateAuthority } from "@caas/control-plane/fleet-link/certificate-authority.ts";
import { openKeyRing } from "@caas/control-plane/fleet-link/key-ring.ts";
import { type Profile, profileSchema } from "@caas/simulator/behaviour/profile.ts";
import { withTemporaryFolder } from "@caas/simulator/command/run.ts";
import { createCarStorage, createIntern } from "@caas/simulator/fleet/car-storage.ts";
import { installCredentials } from "@caas/simulator/fleet/credentials.ts";
import type { StoredCar } from "@caas/simulator/fleet/fleet-file.ts";
import { type CarHosts, startCarHosts } from "@caas/simulator/run/car-hosts.ts";
import { keepSituation, type SituationKeeper } from "@caas/simulator/run/situation.ts";
import { plainBrokerUrl, tlsBrokerUrl } from "../start/part-environments.ts";
import { type Platform, startPlatform } from "../start/platform.ts";
import { openSecrets } from "../start/secrets.ts";
import { withClient } from "./database.ts";
import { type SeededCar, type SeedFleetOptions, seedFleet } from "./seed-fleet.ts";

// The whole platform in a temporary folder, with cars in it that connect: what benchmarks and rehearsals begin with.

export function keysFolderOf({ dataDir }: Platform): string {
  return join(dataDir, "keys");
}

/** Puts sold, linked and enrolled cars into the platform. `isTls`: they connect by certificates. */
export async function seedPlatform(
  platform: Platform,
  options: Pick<SeedFleetOptions, "count" | "firstSerial" | "connectable"> & { isTls: boolean; clock: Clock },
): Promise<SeededCar[]> {
  const { isTls, clock, ...cars } = options;
  const keysDir = keysFolderOf(platform);
  return seedFleet({
    ...cars,
    databaseUrl: platform.databaseUrl,
    keyRing: await openKeyRing(keysDir, realClock),
    broker: {
      url: isTls ? tlsBrokerUrl(platform) : plainBrokerUrl(platform),
      carSecret: openSecrets(platform.dataDir).BROKER_CAR_SECRET,
    },
    controlPlaneUrl: platform.rest,
    ...(isTls ? { authority: await openCertificateAuthority(keysDir, realClock) } : {}),
    now: clock.now(),
  });
}

/** Each car's disk as it is after its enrolment. */
export async function storeCars(seeded: readonly SeededCar[]): Promise<StoredCar[]> {
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

export type RunningPlatform = {
  platform: Platform;
  /** Of its parts, by name. */
  pids: ReadonlyMap<string, number>;
  /** What went wrong with its parts, a sentence each; grows. */
  failures: readonly string[];
};

export type RunOptions = {
  signal: AbortSignal;
  /** A database of the caller's instead of the platform's own. */
  startDatabase?(
    dataDir: string,
    onFailure: (reason: string) => void,
  ): Promise<{ url: string; stop(): Promise<void> }>;
};

/** Starts the platform with every commit on disk, and removes it with its folder when `work` is done. */
export function withPlatform<T>(
  { signal, startDatabase }: RunOptions,
  work: (running: RunningPlatform) => Promise<T>,
): Promise<T> {
  return withTemporaryFolder("bench", async (dataDir) => {
    await using closing = new AsyncDisposableStack();
    const failures: string[] = [];
    const onFailure = (reason: string) => void failures.push(reason);
    const database = await startDatabase?.(dataDir, onFailure);
    if (database !== undefined) closing.defer(() => database.stop());
    const pids = new Map<string, number>();
    const platform = await startPlatform({
      dataDir,
      ports: "free",
      environment: { ...process.env, ...(database === undefined ? {} : { DATABASE_URL: database.url }) },
      onFailure,
      rehearsal: { onReady: ({ name, pid }) => void pids.set(name, pid) },
      signal,
    });
    closing.defer(platform.stop);
    return await work({ platform, pids, failures });
  });
}

export type SeededPlatform = RunningPlatform & {
  cars: readonly SeededCar[];
  /**
   * Sentences about cars whose active slot holds something else than the database says it must, and about changes that
   * failed; none when all is well.
   */
  judgeCars(): Promise<string[]>;
};

/** No weather, no faults. */
export const steady: Profile = profileSchema.parse({
  describes: "cars that stay connected and take every change",
  mix: [{ kind: "steady", share: 1 }],
});

/** The same with healthy cars in a process of their own, all connected. @throws Error when that process ends early */
export function withSeededPlatform<T>(
  options: RunOptions & { cars: number; seed: number; say: (line: string) => void },
  work: (seeded: SeededPlatform) => Promise<T>,
): Promise<T> {
  return withPlatform(options, async (running) => {
    const { platform } = running;
    options.say(`Seeding and connecting ${options.cars} cars`);
    const cars = await seedPlatform(platform, { count: options.cars, isTls: false, clock: realClock });
    const hosts = await startCarHosts({
      folder: platform.dataDir,
      processes: 1,
      seed: options.seed,
      profile: steady,
      world: {
        cars: await storeCars(cars),
        packages: [],
        brokerUrl: plainBrokerUrl(platform),
        businessTime: null,
      },
      differing: { fates: {}, tellsOutcomes: false },
    });
    try {
      const keeper = keepSituation();
      hosts.on("news", keeper.hear);
      await connectAll(hosts, keeper, options.signal);
      return await work({ ...running, cars, judgeCars: () => judgeCars(platform, hosts, keeper) });
    } finally {
      // Nobody needs these cars any more: they do not say goodbye.
      hosts.kill();
    }
  });
}

async function connectAll(hosts: CarHosts, keeper: SituationKeeper, signal: AbortSignal): Promise<void> {
  const lost = once(hosts, "lost").then(([, { why }]) => {
    throw new Error(why);
  });
  lost.catch(() => undefined);
  const connected = async () => {
    await hosts.wake([...hosts.cars.keys()], 0);
    while (keeper.now.connected < hosts.cars.size) await once(hosts, "news", { signal });
  };
  await Promise.race([connected(), lost]);
}

async function judgeCars(
  { databaseUrl }: Platform,
  hosts: CarHosts,
  keeper: SituationKeeper,
): Promise<string[]> {
  const { rows } = await withClient(databaseUrl, (client) =>
    client.query<{ vin: string; manifest_hash: string }>("select vin, manifest_hash from vehicle_links"),
  );
  const wanted = new Map(rows.map((row) => [row.vin, row.manifest_hash]));
  const shown = await hosts.show();
  const differing = shown.filter(({ vin, hash }) => wanted.get(vin) !== hash).length;
  const sum = (counts: Readonly<Record<string, number>>) =>
    Object.values(counts).reduce((total, count) => total + count, 0);
  const [failed, refused] = [sum(keeper.now.failed), sum(keeper.now.refused)];
  return [
    ...(differing > 0 ? [`${differing} cars hold something else than they must`] : []),
    ...(failed > 0 || refused > 0
      ? [`the cars failed ${failed} changes and refused ${refused} messages`]
      : []),
  ];
}
