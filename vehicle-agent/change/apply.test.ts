import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  emptyManifestHash,
  type Manifest,
  type ManifestEntry,
  manifestHash,
} from "@caas/contract/manifest.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createDirectoryAdapter } from "../adapters/directory-adapter.ts";
import { createTrustedTime } from "../clock/trusted-time.ts";
import { type Failpoint, type FailpointName, failAt, noFailpoint, PowerLoss } from "../failpoints.ts";
import { openDirectoryStorage } from "../storage/storage.ts";
import { type CarFaults, createFaultyAdapter } from "../testing/faulty-adapter.ts";
import { createTestClock } from "../testing/test-clock.ts";
import { entry, makeSigningKey, testVin } from "../testing/test-signer.ts";
import { createApplier } from "./apply.ts";
import { openJournal } from "./journal.ts";
import { readSlotFiles } from "./slots.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "caas-apply-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const clock = createTestClock(new Date("2026-03-01T08:00:00.000Z"));
const proofKey = makeSigningKey();
const base = entry("plataformaBase");
const seats = entry("asientosCalefactables");

function manifest(version: number, entries: ManifestEntry[]): Manifest {
  return {
    vin: testVin,
    version,
    hash: manifestHash(entries),
    proofKey: proofKey.kid,
    keySetVersion: 1,
    issuedAt: "2026-03-01T08:00:00.000Z",
    entries,
  };
}

/** The car as it boots from its disk. */
async function bootCar(faults: CarFaults = {}, failpoint: Failpoint = noFailpoint, at = clock) {
  const storage = await openDirectoryStorage(root);
  const journal = await openJournal(storage, emptyManifestHash);
  const adapter = createFaultyAdapter(faults);
  const time = createTrustedTime(at, journal.record.trustedTimeMs);
  const applier = createApplier({
    journal,
    slots: storage.slots,
    adapter,
    time,
    failpoint,
    stopwatchMs: () => at.elapsedMs(),
  });
  const bootProblem = await applier.boot();
  const active = async () => readSlotFiles(await storage.slots.read((await storage.slots.active()) ?? "a"));
  return { storage, journal, adapter, applier, time, active, bootProblem };
}

async function carWithBase() {
  const car = await bootCar();
  await car.applier.applyManifest(manifest(1, [base]), 0);
  return car;
}

describe("applying in the car [DO15]", () => {
  test("a new car holds the empty configuration", async () => {
    const car = await bootCar();
    expect(car.journal.record.active).toEqual({ version: 0, hash: emptyManifestHash });
    expect(await car.active()).toMatchObject({ kind: "intact", hash: emptyManifestHash });
  });

  test("an applied version is on disk, given to the car, and its outcome in the journal", async () => {
    const car = await carWithBase();
    const outcome = await car.applier.applyManifest(manifest(2, [base, seats]), clock.elapsedMs());
    expect(outcome).toMatchObject({
      result: "applied",
      version: 2,
      hash: manifestHash([base, seats]),
      appliedAt: "2026-03-01T08:00:00.000Z",
    });
    expect(await car.active()).toMatchObject({ hash: manifestHash([base, seats]), content: { version: 2 } });
    expect(car.adapter.applied.map(({ version }) => version)).toEqual([0, 1, 2]);
    expect(car.journal.record).toMatchObject({
      change: null,
      outcome,
      active: { version: 2, hash: manifestHash([base, seats]) },
    });
    expect(await readdir(join(root, "configuration", "active"))).toHaveLength(3);
  });

  const late: ManifestEntry = { ...seats, applyBefore: "2026-03-01T07:59:59.000Z" };
  const inTime: ManifestEntry = { ...seats, applyBefore: "2026-03-01T08:00:00.000Z" };

  test.each<{
    fault: string;
    faults: CarFaults;
    entries: ManifestEntry[];
    reason: string;
    failureClass: string;
    given: number[];
  }>([
    {
      fault: "the car rejects it before anything is touched",
      faults: { rejects: "no heated seats fitted" },
      entries: [base, seats],
      reason: "adapterRejected",
      failureClass: "permanent",
      given: [],
    },
    {
      fault: "the car does not take it",
      faults: { failsToApply: 2 },
      entries: [base, seats],
      reason: "adapterRejected",
      failureClass: "transient",
      given: [1],
    },
    {
      fault: "the health check fails after a good write",
      faults: { unhealthy: "no answer from the body controller" },
      entries: [base, seats],
      reason: "probeFailed",
      failureClass: "transient",
      given: [2, 1],
    },
    {
      fault: "an entry is past its `applyBefore` [fault 6]",
      faults: {},
      entries: [base, late],
      reason: "applyBeforePassed",
      failureClass: "permanent",
      given: [],
    },
    {
      fault: "two entries of one id are no configuration",
      faults: {},
      entries: [base, base],
      reason: "stagingFailed",
      failureClass: "permanent",
      given: [],
    },
  ])("$fault: the former configuration stays, $reason", async ({ faults, entries, given, ...failure }) => {
    const car = await carWithBase();
    car.adapter.faults = faults;
    const before = car.adapter.applied.length;
    const outcome = await car.applier.applyManifest(manifest(2, entries), 0);
    expect(outcome).toMatchObject({
      result: "failed",
      version: 2,
      reason: failure.reason,
      failureClass: failure.failureClass,
      rolledBack: true,
    });
    expect(await car.active()).toMatchObject({ hash: manifestHash([base]), content: { version: 1 } });
    expect(car.adapter.applied.slice(before).map(({ version }) => version)).toEqual(given);
    expect(car.journal.record.active).toEqual({ version: 1, hash: manifestHash([base]) });

    car.adapter.faults = {};
    const next = await car.applier.applyManifest(manifest(3, [base, seats]), 0);
    expect(next?.result).toBe("applied");
  });

  test("an entry exactly at its `applyBefore` is in time", async () => {
    const car = await carWithBase();
    const outcome = await car.applier.applyManifest(manifest(2, [inTime]), 0);
    expect(outcome?.result).toBe("applied");
  });

  test("a car that does not take its former configuration back reports that", async () => {
    const car = await carWithBase();
    car.adapter.faults = { unhealthy: "no answer", failsToApply: 1 };
    const outcome = await car.applier.applyManifest(manifest(2, [base, seats]), 0);
    expect(outcome).toMatchObject({ result: "failed", reason: "probeFailed", rolledBack: false });
  });

  test("a disk that loses a file between writing and switching is found by reading back", async () => {
    const car = await carWithBase();
    const { slots } = car.storage;
    const activate = slots.activate;
    slots.activate = async (slot) => {
      if (slot === "a") await rm(join(root, "configuration", "slots", "a", `plataformaBase.${base.id}.json`));
      await activate(slot);
    };
    const outcome = await car.applier.applyManifest(manifest(2, [base, seats]), 0);
    expect(outcome).toMatchObject({ result: "failed", reason: "healthCheckFailed", rolledBack: true });
    expect(await car.active()).toMatchObject({ hash: manifestHash([base]) });
  });

  test.each([
    { fault: "cannot be written", broken: "stage", reason: "stagingFailed" },
    { fault: "cannot be switched", broken: "activate", reason: "switchFailed" },
  ] as const)("a slot that $fault fails the version and nothing else", async ({ broken, reason }) => {
    const car = await carWithBase();
    const { slots } = car.storage;
    const whole = { ...slots };
    slots[broken] = async () => {
      Object.assign(slots, whole);
      throw new Error("ENOSPC: no space left on device");
    };
    const outcome = await car.applier.applyManifest(manifest(2, [seats]), 0);
    expect(outcome).toMatchObject({ result: "failed", reason, failureClass: "transient", rolledBack: true });
    expect(await car.active()).toMatchObject({ hash: manifestHash([base]) });
  });

  test("a disk too full for the outcome: the change stays open and is ended once there is room", async () => {
    const car = await carWithBase();
    const write = car.storage.write;
    let writes = 0;
    car.storage.write = async (name, text) => {
      writes += 1;
      if (writes === 2) throw new Error("ENOSPC: no space left on device");
      await write(name, text);
    };
    await expect(car.applier.applyManifest(manifest(2, [seats]), 0)).rejects.toThrow("ENOSPC");
    expect(car.journal.record.change).toMatchObject({ version: 2 });
    await car.applier.recover();
    expect(car.journal.record).toMatchObject({ change: null, outcome: { version: 2, result: "applied" } });
  });
});

describe("power loss at every step of applying [fault 9]", () => {
  // The car's configuration after the reboot.
  const steps: { name: FailpointName; faults: CarFaults; version: number; outcome: object }[] = [
    { name: "afterIntent", faults: {}, version: 1, outcome: { result: "failed", reason: "interrupted" } },
    { name: "afterStage", faults: {}, version: 1, outcome: { result: "failed", reason: "interrupted" } },
    { name: "afterSwitch", faults: {}, version: 2, outcome: { result: "applied" } },
    { name: "afterHealthCheck", faults: {}, version: 2, outcome: { result: "applied" } },
    { name: "afterOutcome", faults: {}, version: 2, outcome: { result: "applied" } },
    {
      name: "beforeRollBack",
      faults: { unhealthy: "no answer" },
      version: 1,
      outcome: { result: "failed", reason: "probeFailed", rolledBack: true },
    },
    {
      name: "afterRollBack",
      faults: { unhealthy: "no answer" },
      version: 1,
      outcome: { result: "failed", reason: "probeFailed", rolledBack: true },
    },
    {
      name: "afterOutcome",
      faults: { unhealthy: "no answer" },
      version: 1,
      outcome: { result: "failed", reason: "probeFailed", rolledBack: true },
    },
  ];

  test.each(steps)("$name with faults $faults: version $version, $outcome", async ({ name, ...row }) => {
    await carWithBase();
    const crash = failAt({ name, passage: 1 }, () => {
      throw new PowerLoss();
    });
    const doomed = await bootCar(row.faults, crash);
    await expect(doomed.applier.applyManifest(manifest(2, [seats]), 0)).rejects.toThrow(PowerLoss);

    const car = await bootCar(row.faults);
    const expected = row.version === 2 ? manifestHash([seats]) : manifestHash([base]);
    expect(await car.active()).toMatchObject({ hash: expected, content: { version: row.version } });
    expect(car.journal.record).toMatchObject({
      change: null,
      active: { version: row.version, hash: expected },
      outcome: { version: 2, ...row.outcome },
    });
    // In every case the car's systems end with the active configuration.
    expect(car.adapter.applied.at(-1)).toMatchObject({ version: row.version, hash: expected });

    const again = await bootCar(row.faults);
    expect(again.journal.record).toEqual(car.journal.record);
    expect(again.adapter.applied.map(({ version }) => version)).toEqual([row.version]);
  });

  test("a car that no longer works after the switch and the power loss is switched back", async () => {
    await carWithBase();
    const crash = failAt({ name: "afterSwitch", passage: 1 }, () => {
      throw new PowerLoss();
    });
    const doomed = await bootCar({}, crash);
    await expect(doomed.applier.applyManifest(manifest(2, [seats]), 0)).rejects.toThrow(PowerLoss);
    const car = await bootCar({ unhealthy: "no answer" });
    expect(await car.active()).toMatchObject({ hash: manifestHash([base]) });
    expect(car.journal.record.outcome).toMatchObject({ reason: "probeFailed", rolledBack: true });
  });

  test("a switch that slept past its `applyBefore` is taken back, not committed [fault 6]", async () => {
    await carWithBase();
    const crash = failAt({ name: "afterSwitch", passage: 1 }, () => {
      throw new PowerLoss();
    });
    const doomed = await bootCar({}, crash);
    const held: ManifestEntry = { ...seats, applyBefore: "2026-03-08T08:00:00.000Z" };
    await expect(doomed.applier.applyManifest(manifest(2, [base, held]), 0)).rejects.toThrow(PowerLoss);
    const weeksLater = createTestClock(new Date("2026-03-20T08:00:00.000Z"));
    const car = await bootCar({}, noFailpoint, weeksLater);
    expect(await car.active()).toMatchObject({ hash: manifestHash([base]) });
    expect(car.journal.record.outcome).toMatchObject({ reason: "applyBeforePassed", rolledBack: true });
  });

  test("repeated power loss during the recovery still ends in one outcome", async () => {
    await carWithBase();
    const loseAt = (name: FailpointName) =>
      failAt({ name, passage: 1 }, () => {
        throw new PowerLoss();
      });
    const faults = { unhealthy: "no answer" };
    const doomed = await bootCar(faults, loseAt("afterSwitch"));
    await expect(doomed.applier.applyManifest(manifest(2, [seats]), 0)).rejects.toThrow(PowerLoss);
    for (const name of ["beforeRollBack", "afterRollBack", "beforeRollBack", "afterRollBack"] as const)
      await expect(bootCar(faults, loseAt(name))).rejects.toThrow(PowerLoss);
    const car = await bootCar(faults);
    expect(await car.active()).toMatchObject({ hash: manifestHash([base]) });
    expect(car.journal.record.outcome).toMatchObject({ reason: "probeFailed" });
  });
});

describe("terms end in the car", () => {
  const minute: ManifestEntry = { ...seats, term: { kind: "duration", seconds: 60 } };

  test("at its end the entry leaves the disk and the state hash; version and outcome stay", async () => {
    const at = createTestClock();
    const car = await bootCar({}, noFailpoint, at);
    car.time.witness(at.now());
    const outcome = await car.applier.applyManifest(manifest(1, [base, minute]), 0);
    expect(await car.applier.removeEnded()).toBe(false);
    at.advance(60_000);
    expect(await car.applier.removeEnded()).toBe(true);
    expect(await car.active()).toMatchObject({ hash: manifestHash([base]), content: { version: 1 } });
    expect(car.journal.record).toMatchObject({
      active: { version: 1, hash: manifestHash([base]) },
      outcome,
      change: null,
    });
    expect(await car.applier.removeEnded()).toBe(false);
  });

  test("a clock set back at the next boot does not bring the entry back [fault 7]", async () => {
    const at = createTestClock();
    const car = await bootCar({}, noFailpoint, at);
    car.time.witness(at.now());
    await car.applier.applyManifest(manifest(1, [base, minute]), 0);
    at.advance(60_000);
    await car.applier.removeEnded();
    const turnedBack = createTestClock(new Date("2001-01-01T00:00:00.000Z"));
    const rebooted = await bootCar({}, noFailpoint, turnedBack);
    await rebooted.applier.applyManifest(manifest(2, [minute]), 0);
    expect(rebooted.journal.record.active).toEqual({ version: 2, hash: emptyManifestHash });
    expect(rebooted.journal.record.outcome).toMatchObject({
      result: "applied",
      hash: manifestHash([minute]),
    });
  });

  test("a car that does not work without the entry keeps it, and the removal is tried again", async () => {
    const at = createTestClock();
    const car = await bootCar({}, noFailpoint, at);
    await car.applier.applyManifest(manifest(1, [base, minute]), 0);
    at.advance(60_000);
    car.adapter.faults = { unhealthy: "no answer" };
    expect(await car.applier.removeEnded()).toBe(false);
    expect(car.journal.record.active.hash).toBe(manifestHash([base, minute]));
    expect(car.journal.record.outcome).toMatchObject({ result: "applied", version: 1 });
    car.adapter.faults = {};
    expect(await car.applier.removeEnded()).toBe(true);
  });
});

describe("boot", () => {
  test("a foreign change of the active slot is reported as it is, and not applied", async () => {
    const car = await carWithBase();
    expect(car.bootProblem).toBeNull();
    await writeFile(join(root, "configuration", "active", `plataformaBase.${base.id}.json`), "{}");
    const rebooted = await bootCar();
    expect(rebooted.bootProblem).toContain("malformed");
    expect(rebooted.adapter.applied).toEqual([]);
    expect(rebooted.journal.record.active.hash).not.toBe(manifestHash([base]));
    const repaired = await rebooted.applier.applyManifest(manifest(2, [base]), 0);
    expect(repaired?.result).toBe("applied");
  });

  test.each([
    { command: 'test -f "$CAAS_CONFIGURATION_DIR/manifest.json"', health: { healthy: true } },
    { command: undefined, health: { healthy: true } },
    { command: "exit 3", health: { healthy: false, reason: "the probe said: exit code 3" } },
    {
      command: "echo no answer from the body controller >&2; exit 1",
      health: { healthy: false, reason: "the probe said: no answer from the body controller" },
    },
    { command: "kill -9 $$", health: { healthy: false, reason: "the probe said: ended by SIGKILL" } },
  ])("the probe command $command says $health", async ({ command, health }) => {
    await carWithBase();
    const { storage } = await bootCar();
    const adapter = createDirectoryAdapter({ probeCommand: command });
    await adapter.apply({ version: 1, hash: "", entries: [], directory: storage.slots.directoryOf("b") });
    expect(await adapter.probe()).toEqual(health);
  });
});
