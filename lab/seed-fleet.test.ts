import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "@caas/contract/business-clock.ts";
import { openCertificateAuthority } from "@caas/control-plane/fleet-link/certificate-authority.ts";
import { openKeyRing } from "@caas/control-plane/fleet-link/key-ring.ts";
import { createFleet } from "@caas/simulator/fleet/fleet.ts";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type MeasuredBroker, startOurBroker } from "../bench/broker/rival-brokers.ts";
import { createTestDatabase, type TestDatabase } from "../test/servers/database.ts";
import { type SeedFleetOptions, seedFleet } from "./seed-fleet.ts";

let database: TestDatabase;
let client: pg.Client;
let folder: string;
let broker: MeasuredBroker | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "caas-seed-"));
  database = await createTestDatabase("seed fleet");
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});
afterEach(async () => {
  await client.end();
  await database.drop();
  await broker?.stop();
  broker = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function options(changes: Partial<SeedFleetOptions>): Promise<SeedFleetOptions> {
  return {
    databaseUrl: database.url,
    count: 3,
    keyRing: await openKeyRing(folder, realClock),
    broker: { url: "mqtt://127.0.0.1:1", carSecret: "a secret of this test" },
    controlPlaneUrl: "http://127.0.0.1:1",
    now: new Date("2026-03-01T08:00:00Z"),
    ...changes,
  };
}

describe("cars put into the database by SQL", () => {
  test("are Operational, linked, owned and enrolled with the keys they connect with", async () => {
    const cars = await seedFleet(await options({}));
    expect(cars.map(({ vin }) => vin.slice(-6))).toEqual(["500001", "500002", "500003"]);
    const { rows } = await client.query(
      `select v.id, v.state, v.app_linked_at, v.owner_customer_id, l.proof_public_key = t.proof_public_key as same,
              l.manifest_version, l.key_set_version, t.used_at is not null as enrolled
       from vehicles v join vehicle_links l on l.vehicle_id = v.id join enrolment_tokens t on t.vehicle_id = v.id
         join customers c on c.id = v.owner_customer_id order by v.vin`,
    );
    expect(rows).toEqual(
      cars.map(({ vehicleId, customerId }) => ({
        id: vehicleId,
        state: "Operational",
        app_linked_at: new Date("2026-03-01T08:00:00Z"),
        owner_customer_id: customerId,
        same: true,
        manifest_version: 0,
        key_set_version: 1,
        enrolled: true,
      })),
    );
  });

  test("twelve thousand take seconds when only some of them need keys", async () => {
    const cars = await seedFleet(await options({ count: 12_000, connectable: 2 }));
    expect(cars.filter(({ credentials }) => credentials !== null)).toHaveLength(2);
    const { rows } = await client.query(
      "select count(*)::int, count(proof_public_key)::int as keys from vehicle_links",
    );
    expect(rows).toEqual([{ count: 12_000, keys: 2 }]);
  });

  test("the same serial numbers again are refused", async () => {
    await seedFleet(await options({}));
    await expect(seedFleet(await options({}))).rejects.toMatchObject({ code: "23505" });
    await seedFleet(await options({ firstSerial: 600_001 }));
  });

  test("with an authority, each holds a certificate of its own", async () => {
    const authority = await openCertificateAuthority(folder, realClock);
    const [car] = await seedFleet(await options({ count: 1, authority }));
    expect(car?.credentials?.certificate).toContain("BEGIN CERTIFICATE");
    expect(car?.credentials?.brokerCa).toBe(authority.caCertificate);
  });

  test("connect as a fleet", async () => {
    broker = await startOurBroker();
    const cars = await seedFleet(await options({ broker: { url: broker.url, carSecret: broker.carSecret } }));
    const credentials = cars.flatMap((car) => car.credentials ?? []);
    const fleet = await createFleet({ credentials, storage: "memory", seed: 1 });
    await fleet.start();
    expect(fleet.counts.connected).toBe(3);
    await fleet.stop();
  });
});
