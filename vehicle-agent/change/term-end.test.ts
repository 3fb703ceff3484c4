import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dayMs } from "@caas/contract/durations.ts";
import { emptyManifestHash, manifestHash } from "@caas/contract/manifest.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Agent } from "../agent.ts";
import { openDirectoryStorage } from "../storage/storage.ts";
import { createFaultyAdapter, type FaultyAdapter } from "../testing/faulty-adapter.ts";
import { startTestBroker, type TestBroker } from "../testing/test-broker.ts";
import { makeTestCar, startConnected, type TestCar } from "../testing/test-car.ts";
import { createTestClock } from "../testing/test-clock.ts";
import { entry } from "../testing/test-signer.ts";

// The car ends a term itself, by a time that cannot be turned back in the car (fault 7).

const base = entry("plataformaBase");
const month = entry("conduccionAsistida", { term: { kind: "duration", seconds: 30 * 86_400 } });
const both = manifestHash([base, month]);
const past = new Date("2001-01-01T00:00:00.000Z");

let root: string;
let broker: TestBroker;
let adapter: FaultyAdapter;
let car: TestCar;
let agents: Agent[];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "caas-term-"));
  broker = await startTestBroker();
  adapter = createFaultyAdapter();
  car = await makeTestCar(broker.url, adapter, { storage: await openDirectoryStorage(root) });
  agents = [car.agent];
  await startConnected(car.agent);
  await broker.send(car.vin, "manifest", car.signer.manifest(car, 1, [base, month]));
  await broker.nextReport(car.vin, car.verifyingKey, ({ active }) => active.hash === both);
});
afterEach(async () => {
  for (const agent of agents) await agent.stop();
  await broker.close();
  await rm(root, { recursive: true, force: true });
});

/** Power off and on; the clock of the car may be another one then. */
async function reboot(changes: Parameters<TestCar["again"]>[0] = {}) {
  await car.agent.stop();
  const { seq: last } = car.agent.state();
  car = car.again(changes);
  agents.push(car.agent);
  await startConnected(car.agent);
  return broker.nextReport(car.vin, car.verifyingKey, ({ seq }) => seq > last);
}

describe("a term that ends", () => {
  test.each([
    { sleptDays: 29, hash: both },
    { sleptDays: 30, hash: manifestHash([base]) },
    { sleptDays: 400, hash: manifestHash([base]) },
  ])(
    "slept $sleptDays of 30 days: judged before the car connects, so the first report tells",
    async (row) => {
      await car.agent.stop();
      car.clock.advance(row.sleptDays * dayMs);
      const first = await reboot();
      expect(first).toMatchObject({ active: { version: 1, hash: row.hash }, outcome: { result: "applied" } });
      expect(adapter.applied.at(-1)).toMatchObject({ hash: row.hash });
    },
  );

  test("the clock set back in a running car changes nothing [fault 7]", async () => {
    car.clock.advance(30 * dayMs);
    car.clock.setWallClock(past);
    const ended = once(car.agent, "termEnded");
    adapter.turn({});
    await ended;
    expect(car.agent.state().active.hash).toBe(manifestHash([base]));
  });

  test("set back while the car was off, ended terms stay ended [fault 7]", async () => {
    car.clock.advance(30 * dayMs);
    const ended = once(car.agent, "termEnded");
    adapter.turn({});
    await ended;
    const first = await reboot({ clock: createTestClock(past) });
    expect(first.active.hash).toBe(manifestHash([base]));
  });

  test("set back at every boot, elapsed time does not run again [fault 7]", async () => {
    // Ten days at a time; the journal remembers how far time had come.
    for (let boot = 0; boot < 3; boot += 1) {
      const clock = createTestClock(past);
      const first = await reboot({ clock });
      expect(first.active.hash).toBe(both);
      clock.advance(10 * dayMs);
      broker.cut();
      await once(car.agent, "connected");
    }
    const last = await reboot({ clock: createTestClock(past) });
    expect(last.active.hash).toBe(manifestHash([base]));
  });

  test("ended by a clock that was years ahead, it is back with the first word that tells the time, and not with a replay [F5]", async () => {
    const first = await reboot({ clock: createTestClock(new Date("2029-03-01T08:00:00.000Z")) });
    expect(first.active).toEqual({ version: 1, hash: manifestHash([base]) });
    const send = (issuedAt: string) =>
      broker.send(car.vin, "manifest", car.signer.manifest(car, 1, [base, month], { issuedAt }));
    const answer = (seq: number) =>
      broker.nextReport(car.vin, car.verifyingKey, (report) => report.seq > seq);
    const toReplay = answer(first.seq);
    await send("2026-03-01T08:00:00.000Z");
    const { active, seq } = await toReplay;
    expect(active.hash).toBe(manifestHash([base]));
    const toWord = answer(seq);
    await send("2026-03-02T08:00:00.000Z");
    expect(await toWord).toMatchObject({ active: { version: 1, hash: both }, outcome: { version: 1 } });
    expect(adapter.applied.at(-1)).toMatchObject({ hash: both });
  });

  test("ended in truth, it stays ended when the same version is signed anew", async () => {
    await car.agent.stop();
    car.clock.advance(30 * dayMs);
    const first = await reboot();
    const answer = broker.nextReport(car.vin, car.verifyingKey, ({ seq }) => seq > first.seq);
    const issuedAt = car.clock.now().toISOString();
    await broker.send(car.vin, "manifest", car.signer.manifest(car, 1, [base, month], { issuedAt }));
    expect((await answer).active.hash).toBe(manifestHash([base]));
  });

  test("without a connection too", async () => {
    await broker.close();
    car.clock.advance(30 * dayMs);
    const ended = once(car.agent, "termEnded");
    adapter.turn({});
    await ended;
    expect(adapter.applied.at(-1)).toMatchObject({ hash: manifestHash([base]) });
    broker = await startTestBroker();
  });

  test("the last entry leaves an empty car, and a renewal in time continues", async () => {
    const only = { ...month, term: { kind: "until", validUntil: "2026-03-05T08:00:00.000Z" } } as const;
    const later = { ...month, term: { kind: "until", validUntil: "2026-03-09T08:00:00.000Z" } } as const;
    const send = async (version: number, entries: Parameters<typeof manifestHash>[0]) => {
      await broker.send(car.vin, "manifest", car.signer.manifest(car, version, entries));
      await broker.nextReport(car.vin, car.verifyingKey, ({ outcome }) => outcome?.version === version);
    };
    await send(2, [only]);
    car.clock.advance(3 * dayMs);
    await send(3, [later]);
    car.clock.advance(3 * dayMs);
    expect((await reboot()).active).toEqual({ version: 3, hash: manifestHash([later]) });
    car.clock.advance(2 * dayMs);
    expect((await reboot()).active).toEqual({ version: 3, hash: emptyManifestHash });
  });
});
