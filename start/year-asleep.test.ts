import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { businessClockFrom, formatBusinessTime, realClock } from "@caas/contract/business-clock.ts";
import { createDesiredState } from "@caas/control-plane/features/desired-state/desired-state.ts";
import { openCertificateAuthority } from "@caas/control-plane/fleet-link/certificate-authority.ts";
import { createEnrolment } from "@caas/control-plane/fleet-link/enrolment.ts";
import { openKeyRing } from "@caas/control-plane/fleet-link/key-ring.ts";
import { rotateKeys } from "@caas/control-plane/fleet-link/rotate-keys.ts";
import type { Context } from "@caas/control-plane/lifecycle/context.ts";
import { stepsChannel } from "@caas/control-plane/lifecycle/record-step.ts";
import { openDatabase } from "@caas/control-plane/store/database.ts";
import { createNotifyListener } from "@caas/control-plane/store/notify-listener.ts";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { seedFleet } from "../lab/seed-fleet.ts";
import { installPackage } from "./car-folders.ts";
import { type Platform, startPlatform } from "./platform.ts";
import { type Ports, portTable } from "./ports.ts";
import { openSecrets } from "./secrets.ts";

const dayMs = 86_400_000;
const yearMs = 365 * dayMs;
const logger = pino({ level: "silent" });

let dataDir: string;
let platform: Platform | undefined;
const failures: string[] = [];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "caas-year-"));
  chmodSync(dataDir, 0o711);
});
afterEach(async () => {
  await platform?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

/** The whole platform as it was installed, `agoMs` before now in business time. */
async function start(agoMs: number, ports?: Ports): Promise<{ platform: Platform; businessTime: string }> {
  const now = Date.now();
  const businessTime = formatBusinessTime({ realMs: now, businessMs: now - agoMs, scale: 1 });
  const samePorts = Object.entries(portTable).map(([name, { variable }]) => [
    variable,
    String(ports === undefined ? 0 : Reflect.get(ports, name)),
  ]);
  platform = await startPlatform({
    dataDir,
    ports: ports === undefined ? "free" : "default",
    environment: {
      ...process.env,
      ...Object.fromEntries(samePorts),
      DATABASE_URL: "",
      MQTT_URL: "",
      CAAS_BUSINESS_TIME: businessTime,
    },
    onFailure: (reason) => failures.push(reason),
    durability: "none",
  });
  return { platform, businessTime };
}

/** What a test asks of the running platform's database, with the platform's own parts. */
async function open(databaseUrl: string, businessTime: string, rest: string) {
  const opened = openDatabase(databaseUrl, 3, () => undefined);
  const clock = businessClockFrom(businessTime);
  const context: Context = {
    db: opened.db,
    clock,
    realClock: { now: () => new Date() },
    random: Math.random,
    logger,
    publish: async (_tx, name) => {
      throw new Error(`nothing is to be said here, and ${name} was`);
    },
  };
  const keysDir = join(dataDir, "keys");
  const keyRing = await openKeyRing(keysDir, clock);
  const secrets = openSecrets(dataDir);
  const enrolment = createEnrolment(context, {
    certificateAuthority: await openCertificateAuthority(keysDir, clock),
    keyRing,
    tokenSecret: secrets.ENROLMENT_SECRET,
    controlPlaneUrl: () => rest,
    broker: { url: "mqtt://127.0.0.1:1", carSecret: null },
  });
  const desiredState = createDesiredState(context, () => 1);
  const feed = createNotifyListener({ url: databaseUrl, channel: stepsChannel, logger });
  await feed.start();
  return {
    db: opened.db,
    clock,
    keysDir,
    keyRing,
    enrolment,
    /** Gives every car the next step of a roll-out. */
    async rollOut(vehicleIds: readonly string[], level: number) {
      const { carried } = await opened.db
        .transaction()
        .execute((tx) =>
          desiredState.rollOut(tx, vehicleIds, { code: "firmware", configuration: { level } }),
        );
      expect(carried).toBe(vehicleIds.length);
    },
    /** Resolves when every car has reported, signed, that it holds what it must. */
    async converged() {
      for (;;) {
        const heard = feed.count();
        const open = await opened.db
          .selectFrom("vehicle_links")
          .select("vin")
          .where("unproved_version", "is not", null)
          .executeTakeFirst();
        if (open === undefined) return;
        if (!(await feed.waitPast(heard, 60_000))) throw new Error("the cars did not converge in 60 s");
      }
    },
    async close() {
      await feed.stop();
      await opened.close();
    },
  };
}

test("cars that slept a year, through two key rotations and their certificates' end, come back and converge unaided [SY16]", async () => {
  // A year ago: two cars are built, enrol over HTTP and take their first change over mutual TLS.
  const then = await start(yearMs);
  const { ports } = then.platform;
  const before = await open(then.platform.databaseUrl, then.businessTime, then.platform.rest);
  const seeded = await seedFleet({
    databaseUrl: then.platform.databaseUrl,
    count: 2,
    connectable: 0,
    keyRing: before.keyRing,
    broker: { url: "mqtt://127.0.0.1:1", carSecret: null },
    controlPlaneUrl: then.platform.rest,
    now: before.clock.now(),
  });
  await before.db.deleteFrom("enrolment_tokens").execute();
  for (const { vehicleId, vin } of seeded)
    await before.db
      .transaction()
      .execute((tx) => before.enrolment.onVinAssigned(tx, [{ vehicleId, expedienteId: vehicleId, vin }]));
  const [shared, own] = await Promise.all(
    seeded.map(({ vehicleId }) => before.enrolment.packageFor(vehicleId)),
  );
  if (shared === undefined || own === undefined) throw new Error("no cars");
  installPackage(then.platform.demoCarsFolder, shared);
  const ownFolder = installPackage(then.platform.storyCarsFolder, own);
  const startCars = (on: Platform) =>
    Promise.all([on.startDemoCars(), on.startCar({ name: "own-car", folder: ownFolder, port: 0 })]);
  await startCars(then.platform);
  const vehicleIds = seeded.map(({ vehicleId }) => vehicleId);
  await before.rollOut(vehicleIds, 1);
  await before.converged();
  await rotateKeys(before.keysDir, before.clock);
  await before.close();
  await then.platform.stop();

  // Today: the keys were rotated once more, everything is started again, and a change waits for both cars.
  await rotateKeys(before.keysDir, realClock);
  const today = await start(0, ports);
  const after = await open(today.platform.databaseUrl, today.businessTime, today.platform.rest);
  await after.rollOut(vehicleIds, 2);
  const ended = await after.db
    .selectFrom("certificates")
    .select("serial_number")
    .where("not_after", "<", after.clock.now())
    .execute();
  expect(ended).toHaveLength(2);
  await startCars(today.platform);
  await after.converged();

  const links = await after.db
    .selectFrom("vehicle_links")
    .select(["active_version", "presence", "key_set_version"])
    .execute();
  expect(links).toEqual([
    { active_version: 2, presence: "online", key_set_version: 3 },
    { active_version: 2, presence: "online", key_set_version: 3 },
  ]);
  const renewed = await after.db
    .selectFrom("certificates")
    .select("vehicle_id")
    .where("not_after", ">", after.clock.now())
    .execute();
  expect(renewed.map((row) => row.vehicle_id).sort()).toEqual(vehicleIds.toSorted());
  expect(failures).toEqual([]);
  await after.close();
}, 60_000);
