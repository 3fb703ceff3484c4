import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { carPassword } from "@caas/contract/car-password.ts";
import { emptyManifestHash, manifestHash } from "@caas/contract/manifest.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  connectControlPlane,
  passwords,
  type RunningBroker,
  startBroker,
  testVin,
} from "../../broker/testing/fleet.ts";
import { startTestEnrolment } from "../../vehicle-agent/testing/test-enrolment.ts";
import { createTestSigner, entry } from "../../vehicle-agent/testing/test-signer.ts";
import { createFaultCounts, createFaultSchedule, faultKinds } from "../link/fault-schedule.ts";
import { createLossyLink } from "../link/lossy-link.ts";
import { createFleet, type Fleet, type FleetOptions } from "./fleet.ts";
import { readFleetFile } from "./fleet-file.ts";
import type { CarProfile } from "./profiles.ts";
import { makeCredentials, type TestCredentials } from "./testing/make-credentials.ts";
import { type ManifestSender, startManifestSender } from "./testing/manifest-sender.ts";

const signer = createTestSigner();
let running: RunningBroker;
let fleet: Fleet | undefined;
let sender: ManifestSender | undefined;
beforeEach(async () => {
  running = await startBroker();
});
afterEach(async () => {
  await fleet?.stop();
  fleet = undefined;
  await sender?.stop();
  sender = undefined;
  await running.broker.stop();
});

function makeCars(count: number): TestCredentials[] {
  return Array.from({ length: count }, (_, index) => {
    const vin = testVin(index + 1);
    const url = `mqtt://127.0.0.1:${running.tcpPort}`;
    return makeCredentials(vin, signer, {
      url,
      username: vin,
      password: carPassword(passwords.carSecret, vin),
    });
  });
}

async function startSender(cars: readonly TestCredentials[]): Promise<ManifestSender> {
  sender = await startManifestSender(await connectControlPlane(running.tcpPort), signer, cars);
  return sender;
}

async function makeFleet(
  cars: readonly TestCredentials[],
  changes: Partial<FleetOptions> = {},
): Promise<Fleet> {
  const credentials = cars.map((car) => car.credentials);
  fleet = await createFleet({ credentials, storage: "memory", seed: 11, ...changes });
  return fleet;
}

const base = entry("plataformaBase");
const heating = entry("seatHeating");

describe("a fleet on the project's broker", () => {
  test("200 cars converge though one packet in ten is dropped, doubled or out of order; forged ones never count", async () => {
    const cars = makeCars(200);
    const faults = {
      dropped: 0.1,
      duplicated: 0.1,
      reordered: 0.1,
      delayed: 0.05,
      forged: 0.1,
      replayed: 0.1,
    };
    const counts = createFaultCounts();
    const schedule = createFaultSchedule({ seed: 7, toCar: faults, fromCar: faults });
    const sending = await startSender(cars);
    const {
      start,
      counts: seen,
      cars: all,
    } = await makeFleet(cars, {
      lossyLink: createLossyLink({ schedule, counts, maxDelayMs: 20 }),
    });
    await start();
    for (const { credentials } of cars) sending.order(credentials.vin, 1, [base]);
    await sending.converge();
    for (const { credentials } of cars) sending.order(credentials.vin, 2, [base, heating]);
    await sending.converge();

    const hash = manifestHash([base, heating]);
    for (const [vin, car] of all) {
      expect(car.state().active).toEqual({ version: 2, hash });
      expect((await car.configuration())?.entries).toHaveLength(2);
      expect(sending.reports.get(vin)?.active).toEqual({ version: 2, hash });
    }
    expect(seen).toMatchObject({ applied: 400, failed: {}, doubleApplies: 0, forgedAccepted: 0 });
    for (const kind of faultKinds) expect(counts[kind], kind).toBeGreaterThan(0);
    const refused = Object.values(seen.refused).reduce((sum, count) => sum + count, 0);
    expect(refused).toBeGreaterThan(0);
    expect(sending.unbelieved).toBeGreaterThan(0);
  });

  test.each<{ profile: CarProfile; end: object; version: number }>([
    {
      profile: { kind: "rejects", detail: "no" },
      end: { result: "failed", reason: "adapterRejected", failureClass: "permanent" },
      version: 0,
    },
    {
      profile: { kind: "unhealthy", reason: "ill" },
      end: { result: "failed", reason: "probeFailed", rolledBack: true },
      version: 0,
    },
    {
      profile: { kind: "crashes", at: "afterStage", passage: 1 },
      end: { result: "failed", reason: "interrupted" },
      version: 0,
    },
    { profile: { kind: "crashes", at: "afterSwitch", passage: 1 }, end: { result: "applied" }, version: 1 },
    { profile: { kind: "crashes", at: "afterOutcome", passage: 1 }, end: { result: "applied" }, version: 1 },
    { profile: { kind: "crashes", at: "beforeReport", passage: 2 }, end: { result: "applied" }, version: 1 },
    { profile: { kind: "healthy" }, end: { result: "applied" }, version: 1 },
  ])("a car's fate is its profile's: $profile", async ({ profile, end, version }) => {
    const cars = makeCars(2);
    const [special] = cars;
    const vin = testVin(1);
    const sending = await startSender(cars);
    const {
      start,
      counts,
      cars: all,
    } = await makeFleet(cars, {
      profileOf: (of) => (of === special?.credentials.vin ? profile : { kind: "healthy" }),
    });
    await start();
    for (const { credentials } of cars) sending.order(credentials.vin, 1, [base]);
    await sending.converge();
    expect(sending.reports.get(vin)?.outcome).toMatchObject({ version: 1, ...end });
    expect(sending.reports.get(vin)?.active.version).toBe(version);
    expect(all.get(vin)?.state().active.version).toBe(version);
    const failures = Object.values(counts.failed).reduce((sum, count) => sum + count, 0);
    expect([counts.applied, failures]).toEqual(version === 1 ? [2, 0] : [1, 1]);
    expect(counts.crashes).toEqual(profile.kind === "crashes" ? { [profile.at]: 1 } : {});
    expect(counts.doubleApplies).toBe(0);
  });

  test("a car that sleeps hears nothing, and what is sent again once it is back", async () => {
    const cars = makeCars(3);
    const sending = await startSender(cars);
    const { start, counts, cars: all } = await makeFleet(cars);
    await start();
    expect(counts).toMatchObject({ cars: 3, connected: 3 });
    const sleeper = all.get(testVin(2));
    await sleeper?.sleep();
    expect([sleeper?.isAwake, sleeper?.isConnected, counts.connected]).toEqual([false, false, 2]);
    expect(() => sleeper?.state()).toThrow("has no agent now");
    for (const { credentials } of cars) sending.order(credentials.vin, 1, [base]);
    await sending.converge(1);
    expect(sending.reports.get(testVin(2))?.active.version).toBe(0);
    await sleeper?.wake();
    await sending.converge();
    expect(counts).toMatchObject({ connected: 3, applied: 3 });
  });

  test("a broker that dies takes all cars down, and all come back by themselves", async () => {
    const { start, until, counts } = await makeFleet(makeCars(5));
    await start();
    const port = running.tcpPort;
    await running.broker.stop();
    await (fleet?.until(() => counts.connected === 0) ?? Promise.reject(new Error("no fleet")));
    running = await startBroker({ tcp: { host: "127.0.0.1", port } });
    await until(() => counts.connected === 5);
  });

  test("starting ends also where no broker is; stopping ends what is still trying", async () => {
    await running.broker.stop();
    const { start, counts } = await makeFleet(makeCars(3));
    await start();
    expect(counts.connected).toBe(0);
    await fleet?.stop();
  });
});

describe("a fleet between two runs", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "caas-fleet-"));
  });
  afterEach(async () => {
    // Stopping writes the file: before its folder goes.
    await fleet?.stop();
    fleet = undefined;
    await rm(folder, { recursive: true, force: true });
  });

  test("is the same fleet: keys, configuration and counters", async () => {
    const cars = makeCars(3);
    const sending = await startSender(cars);
    const first = await makeFleet(cars, { storage: { folder } });
    await first.start();
    for (const { credentials } of cars) sending.order(credentials.vin, 1, [base, heating]);
    await sending.converge();
    const before = first.cars.get(testVin(1))?.state();
    await first.stop();
    expect(await readdir(folder)).toEqual(["fleet.jsonl.gz"]);
    expect((await stat(join(folder, "fleet.jsonl.gz"))).mode & 0o777).toBe(0o600);

    const second = await makeFleet([], { storage: { folder } });
    expect([...second.cars.keys()]).toEqual(cars.map(({ credentials }) => credentials.vin));
    await second.start();
    const after = second.cars.get(testVin(1))?.state();
    expect(after?.active).toEqual({ version: 1, hash: manifestHash([base, heating]) });
    expect(after?.outcome).toEqual(before?.outcome);
    expect(after?.connection).toBe((before?.connection ?? 0) + 1);
    // What an earlier run applied is not this run's.
    expect(second.counts).toMatchObject({ applied: 0, connected: 3 });
    sending.order(testVin(1), 2, []);
    await sending.converge();
    expect(second.cars.get(testVin(1))?.state().active).toEqual({ version: 2, hash: emptyManifestHash });
  });

  test("cars on disks of their own go on where they were, and every step of each can be watched", async () => {
    const cars = makeCars(2);
    const sending = await startSender(cars);
    const steps: string[] = [];
    const options = { storage: { disks: folder }, failpoint: (name: string) => void steps.push(name) };
    const first = await makeFleet(cars, options);
    await first.start();
    for (const { credentials } of cars) sending.order(credentials.vin, 1, [base]);
    await sending.converge();
    expect((await readdir(folder)).toSorted()).toEqual([testVin(1), testVin(2)].toSorted());
    expect(steps.filter((name) => name === "afterSwitch")).toHaveLength(2);
    for (const car of first.cars.values()) await car.sleep();

    const second = await makeFleet(cars, options);
    await second.start();
    for (const car of second.cars.values())
      expect(car.state()).toMatchObject({ active: { version: 1 }, connection: 2 });
  });

  test("a car that the folder knows keeps its keys; a new one joins", async () => {
    const [one, two] = makeCars(2);
    if (one === undefined || two === undefined) throw new Error("no cars");
    await makeFleet([one], { storage: { folder } });
    const again = makeCars(1);
    const { cars } = await makeFleet([...again, two], { storage: { folder } });
    const proofs = await Promise.all([...cars.values()].map((car) => car.storage.read("keys/proof.pem")));
    expect(proofs).toEqual([one.credentials.proofKeyPem, two.credentials.proofKeyPem]);
  });

  test("a damaged file stops the start and is named", async () => {
    const path = join(folder, "fleet.jsonl.gz");
    await writeFile(path, "no gzip");
    await expect(makeFleet([], { storage: { folder } })).rejects.toThrow(`${path} cannot be read`);
    await writeFile(path, gzipSync('{"vin":"nobody"}\n'));
    await expect(makeFleet([], { storage: { folder } })).rejects.toThrow("line 1 is no car");
  });

  test("cars enrol themselves once, with keys of their own [SY9]", async () => {
    const vin = testVin(1);
    const enrolment = await startTestEnrolment(vin, signer, `mqtt://127.0.0.1:${running.tcpPort}`);
    enrolment.tamper = (response) => ({
      ...response,
      broker: { ...response.broker, password: carPassword(passwords.carSecret, vin) },
    });
    const options = { packages: [enrolment.package], storage: { folder }, seed: 1 };
    fleet = await createFleet(options);
    await fleet.start();
    expect(fleet.counts).toMatchObject({ cars: 1, connected: 1, reports: 1 });
    await fleet.stop();
    fleet = await createFleet(options);
    await fleet.start();
    expect(enrolment.requests).toBe(1);
    enrolment.failNext(403);
    const stranger = createFleet({ ...options, storage: "memory" });
    await expect(stranger).rejects.toThrow(`${vin} was not enrolled: as the test wished`);
    await enrolment.close();
  });

  test("an enrolment that failed half-way goes on with the same keys in the next run", async () => {
    const enrolment = await startTestEnrolment(testVin(1), signer, "mqtt://127.0.0.1:1");
    const options = { packages: [enrolment.package], storage: { folder }, seed: 1 };
    enrolment.failNext(403);
    await expect(createFleet(options)).rejects.toThrow("was not enrolled");
    const [half] = await readFleetFile(join(folder, "fleet.jsonl.gz"));
    fleet = await createFleet(options);
    const proof = await fleet.cars.get(testVin(1))?.storage.read("keys/proof.pem");
    expect(proof).toBeTypeOf("string");
    expect(half?.car.texts["keys/proof.pem"]).toBe(proof);
    await enrolment.close();
  });
});
