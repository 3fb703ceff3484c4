import { realClock } from "@caas/contract/business-clock.ts";
import { createFleet, type Fleet } from "@caas/simulator/fleet/fleet.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type SeededCar, seedFleet } from "../../lab/seed-fleet.ts";
import { startTestFleet, type TestFleet } from "../testing/fixtures/fleet.ts";
import { seedStaff } from "../testing/fixtures/people.ts";
import { carSecret } from "../testing/test-platform.ts";

// The broker has lost every session, and hundreds of real agents reconnect at once.

const carCount = 300;
let platform: TestFleet;
let cars: SeededCar[];
let fleet: Fleet;

beforeAll(async () => {
  platform = await startTestFleet();
  cars = await seedFleet({
    databaseUrl: platform.config.DATABASE_URL,
    count: carCount,
    keyRing: platform.keyRing,
    broker: { url: `mqtt://127.0.0.1:${platform.broker.tcpPort}`, carSecret: carSecret },
    controlPlaneUrl: "http://127.0.0.1:1",
    now: realClock.now(),
  });
  fleet = await createFleet({
    credentials: cars.flatMap(({ credentials }) => credentials ?? []),
    storage: "memory",
    seed: 19,
  });
  await fleet.start();
});
afterAll(async () => {
  await fleet?.stop();
  await platform?.close();
});

async function rollOut(some: readonly SeededCar[], level: number) {
  const ids = some.map(({ vehicleId }) => vehicleId);
  return platform.db
    .transaction()
    .execute((tx) => platform.desiredState.rollOut(tx, ids, { code: "firmware", configuration: { level } }));
}

/** No work is left, and every car reports the configuration it should have. */
async function allConverged(): Promise<void> {
  await platform.waitUntil("the whole fleet converged", async () => {
    const open = await platform.db
      .selectFrom("vehicle_links")
      .select("vin")
      .where((where) =>
        where.or([
          where("unproved_version", "is not", null),
          where("active_hash", "<>", where.ref("manifest_hash")),
        ]),
      )
      .executeTakeFirst();
    return open === undefined ? true : undefined;
  });
}

test("a fleet that reconnects at once converges, no car starves, and users are answered meanwhile [fault 19]", async () => {
  await rollOut(cars, 1);
  await allConverged();
  expect(fleet.counts).toMatchObject({ connected: carCount, applied: carCount });

  const half = cars.slice(0, carCount / 2);
  await platform.restartBroker(async () => {
    await fleet.until(() => fleet.counts.connected === 0);
    expect(await rollOut(half, 2)).toEqual({ carried: half.length, waiting: [] });
  });
  const { support } = await seedStaff(platform);
  const asked: number[] = [];
  let isOver = false;
  const asking = (async () => {
    while (!isOver) {
      asked.push((await support.get("/api/me")).status);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  await fleet.until(() => fleet.counts.connected === carCount);
  await allConverged();
  isOver = true;
  await asking;

  expect(new Set(asked)).toEqual(new Set([200]));
  expect(fleet.counts).toMatchObject({ applied: carCount + half.length, doubleApplies: 0, failed: {} });
  for (const [index, { vin }] of cars.entries())
    expect(fleet.cars.get(vin)?.state().active.version, vin).toBe(index < half.length ? 2 : 1);
  // A car without due messages was sent nothing and requested nothing.
  const due = await platform.db.selectFrom("manifest_dispatches").selectAll().execute();
  expect(due).toEqual([]);
  // The last presences may be on their way still when the last report is in.
  await platform.waitUntil("all cars are known to be online", async () => {
    const online = await platform.db
      .selectFrom("vehicle_links")
      .select("vin")
      .where("presence", "=", "online")
      .execute();
    return online.length === carCount ? true : undefined;
  });
});
