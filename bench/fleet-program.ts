import { realClock } from "@caas/contract/business-clock.ts";
import { preferLibsodium } from "@caas/contract/libsodium.ts";
import { emptyManifestHash, manifestHash } from "@caas/contract/manifest.ts";
import { openKeyRing } from "@caas/control-plane/fleet-link/key-ring.ts";
import { createFleet, type Fleet } from "@caas/simulator/fleet/fleet.ts";
import pg from "pg";
import * as z from "zod";
import { seedFleet } from "../lab/seed-fleet.ts";
import type { FleetVerdict } from "./fleet-process.ts";

// A process of its own, so that what the cars cost is not counted as what the platform costs. It puts its cars into
// the database, connects them, and says at the end whether what they hold is what the database says they shall.

const environment = z
  .object({
    BENCH_DATABASE_URL: z.string(),
    BENCH_KEYS_DIR: z.string(),
    BENCH_BROKER_URL: z.string(),
    BENCH_CAR_SECRET: z.string(),
    BENCH_CARS: z.coerce.number().int().min(1),
    BENCH_SEED: z.coerce.number().int(),
  })
  .parse(process.env);

await preferLibsodium();
const seeded = await seedFleet({
  databaseUrl: environment.BENCH_DATABASE_URL,
  count: environment.BENCH_CARS,
  keyRing: await openKeyRing(environment.BENCH_KEYS_DIR, realClock),
  broker: { url: environment.BENCH_BROKER_URL, carSecret: environment.BENCH_CAR_SECRET },
  controlPlaneUrl: "http://127.0.0.1:1",
  now: new Date(),
});
const fleet = await createFleet({
  credentials: seeded.flatMap(({ credentials }) => credentials ?? []),
  storage: "memory",
  seed: environment.BENCH_SEED,
});

/** Read from the slots themselves, not from what the cars have reported. */
async function judge({ cars, counts }: Fleet): Promise<FleetVerdict> {
  const client = new pg.Client({ connectionString: environment.BENCH_DATABASE_URL });
  await client.connect();
  try {
    const { rows } = await client.query<{ vin: string; manifest_hash: string }>(
      "select vin, manifest_hash from vehicle_links",
    );
    const wanted = new Map(rows.map((row) => [row.vin, row.manifest_hash]));
    let notConverged = 0;
    for (const car of cars.values()) {
      const configuration = await car.configuration();
      const held = configuration === null ? emptyManifestHash : manifestHash(configuration.entries);
      if (held !== wanted.get(car.vin)) notConverged += 1;
    }
    const failed = Object.values(counts.failed).reduce((sum, one) => sum + one, 0);
    const refused = Object.values(counts.refused).reduce((sum, one) => sum + one, 0);
    return { kind: "verdict", notConverged, applied: counts.applied, failed, refused };
  } finally {
    await client.end();
  }
}

// ^C at a terminal reaches us too, and is for the benchmark to answer.
process.on("SIGINT", () => undefined);
process.on("disconnect", () => process.exit(0));
process.on("message", (message) => {
  if (message === "judge") judge(fleet).then((verdict) => process.send?.(verdict));
});
await fleet.start();
await fleet.until(() => fleet.counts.connected === environment.BENCH_CARS);
process.send?.({ kind: "connected" });
