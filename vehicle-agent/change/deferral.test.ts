import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dayMs, minuteMs } from "@caas/contract/durations.ts";
import { emptyManifestHash, type ManifestEntry, manifestHash } from "@caas/contract/manifest.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Agent } from "../agent.ts";
import { type FailpointName, failAt, PowerLoss } from "../failpoints.ts";
import { createAgentMetrics } from "../metrics.ts";
import { openDirectoryStorage } from "../storage/storage.ts";
import { createFaultyAdapter, type FaultyAdapter } from "../testing/faulty-adapter.ts";
import { startTestBroker, type TestBroker } from "../testing/test-broker.ts";
import { makeTestCar, startConnected, type TestCar } from "../testing/test-car.ts";
import { entry } from "../testing/test-signer.ts";

// A car in use is not changed: the change waits in the car, and waiting is no attempt.

let root: string;
let broker: TestBroker;
let adapter: FaultyAdapter;
let car: TestCar;
let agents: Agent[];
const base = entry("plataformaBase");
const seats = entry("asientosCalefactables");
const inOneMinute = "2026-03-01T08:01:00.000Z";

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "caas-deferral-"));
  broker = await startTestBroker();
  adapter = createFaultyAdapter();
  car = await makeTestCar(broker.url, adapter, { storage: await openDirectoryStorage(root) });
  agents = [car.agent];
});
afterEach(async () => {
  for (const agent of agents) await agent.stop();
  await broker.close();
  await rm(root, { recursive: true, force: true });
});

const report = (isWanted?: Parameters<TestBroker["nextReport"]>[2], skip?: number) =>
  broker.nextReport(car.vin, car.verifyingKey, isWanted, skip);
const reports = () => broker.messages.filter(({ topic }) => topic.endsWith("/report")).length;

/** Sends a manifest and gives the first report made after it. */
async function send(version: number, entries: ManifestEntry[]) {
  const before = car.agent.state().seq;
  await broker.send(car.vin, "manifest", car.signer.manifest(car, version, entries));
  return report(({ seq }) => seq > before);
}

async function nextAfter(turn: () => void) {
  const before = car.agent.state().seq;
  turn();
  return report(({ seq }) => seq > before);
}

async function restart(changes?: Parameters<TestCar["again"]>[0]): Promise<void> {
  car = car.again(changes);
  agents.push(car.agent);
  await startConnected(car.agent);
}

/** A car that holds version 1 and drives. */
async function drivingCar(): Promise<void> {
  await startConnected(car.agent);
  await send(1, [base]);
  adapter.turn({ moving: true });
}

describe("a change waits for the car", () => {
  test.each([
    { conditions: { moving: true }, over: { moving: false }, reason: "driving" },
    { conditions: { stateOfChargePercent: 5 }, over: { stateOfChargePercent: 60 }, reason: "lowBattery" },
    { conditions: { lockedBy: "navigation" }, over: { lockedBy: null }, reason: "locked" },
  ] as const)("$reason: said at once, applied when it is over", async ({ conditions, over, reason }) => {
    await startConnected(car.agent);
    await send(1, [base]);
    adapter.turn(conditions);
    const waiting = await send(2, [base, seats]);
    expect(waiting).toMatchObject({
      deferred: { version: 2, reason },
      active: { version: 1, hash: manifestHash([base]) },
      outcome: { version: 1, result: "applied" },
    });
    expect(car.agent.state()).toMatchObject({ lifecycle: "deferred", deferred: { version: 2, reason } });
    expect(adapter.applied.at(-1)).toMatchObject({ version: 1 });
    const applied = await nextAfter(() => adapter.turn(over));
    expect(applied).toMatchObject({
      deferred: null,
      active: { version: 2, hash: manifestHash([base, seats]) },
      outcome: { version: 2, result: "applied" },
    });
    expect(car.agent.state()).toMatchObject({ lifecycle: "idle", deferred: null });
  });

  test("another reason is reported, the same one is not reported again", async () => {
    await drivingCar();
    await send(2, [seats]);
    const told = reports();
    adapter.turn({ stateOfChargePercent: 50 });
    const next = await nextAfter(() => adapter.turn({ moving: false, lockedBy: "navigation" }));
    expect(next.deferred).toEqual({ version: 2, reason: "locked" });
    expect(reports()).toBe(told + 1);
  });

  test("sent again while it waits, it is the status query; an older one and another hash are refused [FA6]", async () => {
    await drivingCar();
    await send(3, [seats]);
    expect(await send(3, [seats])).toMatchObject({ deferred: { version: 3, reason: "driving" } });
    expect((await send(2, [base])).refused).toEqual({ "manifest.older": 1 });
    const refused = once(car.agent, "refused");
    await broker.send(car.vin, "manifest", car.signer.manifest(car, 3, [base]));
    expect(await refused).toEqual(["manifest.otherHash"]);
    const applied = await nextAfter(() => adapter.turn({ moving: false }));
    expect(applied).toMatchObject({ outcome: { version: 3 }, active: { hash: manifestHash([seats]) } });
  });

  test("a newer version takes its place, and the one that waited never gets an outcome", async () => {
    await drivingCar();
    const outcomes: number[] = [];
    car.agent.on("outcome", ({ version }) => outcomes.push(version));
    await send(2, [seats]);
    expect(await send(3, [base, seats])).toMatchObject({ deferred: { version: 3, reason: "driving" } });
    const applied = await nextAfter(() => adapter.turn({ moving: false }));
    expect(applied).toMatchObject({ outcome: { version: 3 }, active: { hash: manifestHash([base, seats]) } });
    expect(outcomes).toEqual([3]);
  });

  test("a change that waits past its `applyBefore` ends there, whatever the car does [fault 6]", async () => {
    await drivingCar();
    await send(2, [base, { ...seats, applyBefore: inOneMinute }]);
    car.clock.advance(minuteMs + 1);
    const ended = await nextAfter(() => adapter.turn({ moving: false }));
    expect(ended).toMatchObject({
      deferred: null,
      active: { version: 1 },
      outcome: { version: 2, result: "failed", reason: "applyBeforePassed", failureClass: "permanent" },
    });
  });

  test("it ends by itself, also in a car that never stops [fault 6]", async () => {
    await drivingCar();
    const late = "2026-03-01T08:00:00.020Z";
    const answer = await send(2, [{ ...seats, applyBefore: late }]);
    car.clock.advance(minuteMs);
    const ended =
      answer.outcome?.version === 2 ? answer : await report(({ outcome }) => outcome?.version === 2);
    expect(ended.outcome).toMatchObject({ reason: "applyBeforePassed" });
  });

  test("judged again at the commit: a change that became late after the switch is rolled back", async () => {
    await drivingCar();
    await send(2, [base, { ...seats, applyBefore: inOneMinute }]);
    const probe = adapter.probe;
    adapter.probe = async () => {
      car.clock.advance(2 * minuteMs);
      return { healthy: true };
    };
    const ended = await nextAfter(() => adapter.turn({ moving: false }));
    adapter.probe = probe;
    expect(ended).toMatchObject({
      active: { version: 1 },
      outcome: { version: 2, reason: "applyBeforePassed", rolledBack: true },
    });
    expect(adapter.applied.at(-1)).toMatchObject({ version: 1 });
  });

  test("metrics count waiting changes, and a stopped agent no longer watches the car", async () => {
    const metrics = createAgentMetrics();
    await restart({ metrics });
    adapter.turn({ moving: true });
    await send(1, [base]);
    await nextAfter(() => adapter.turn({ moving: false }));
    expect(await metrics.registry.metrics()).toContain('caas_agent_deferrals_total{reason="driving"} 1');
    expect(adapter.watchers).toBe(1);
    await car.agent.stop();
    expect(adapter.watchers).toBe(0);
  });
});

describe("power lost while a change waits [fault 9]", () => {
  const crashAt = (name: FailpointName, passage = 1) => ({
    failpoint: failAt({ name, passage }, () => {
      throw new PowerLoss();
    }),
  });

  test("it continues to wait after the reboot, and is applied from the staged files", async () => {
    await drivingCar();
    await send(2, [base, seats]);
    await car.agent.stop();
    await restart();
    const again = await report(({ seq }) => seq === car.agent.state().seq);
    expect(again).toMatchObject({ deferred: { version: 2, reason: "driving" }, active: { version: 1 } });
    const applied = await nextAfter(() => adapter.turn({ moving: false }));
    expect(applied).toMatchObject({ outcome: { version: 2, result: "applied" } });
  });

  test("parked meanwhile: the first report of the reboot already proves it", async () => {
    await drivingCar();
    await send(2, [base, seats]);
    await car.agent.stop();
    adapter.turn({ moving: false });
    const { seq: last } = car.agent.state();
    await restart();
    expect(await report(({ seq }) => seq > last)).toMatchObject({
      outcome: { version: 2, result: "applied" },
    });
  });

  test("asleep past its `applyBefore`: reported as that, nothing was touched", async () => {
    await drivingCar();
    await send(2, [base, { ...seats, applyBefore: inOneMinute }]);
    await car.agent.stop();
    adapter.turn({ moving: false });
    car.clock.advance(90 * dayMs);
    const { seq: last } = car.agent.state();
    await restart();
    expect(await report(({ seq }) => seq > last)).toMatchObject({
      active: { version: 1, hash: manifestHash([base]) },
      outcome: { version: 2, reason: "applyBeforePassed" },
    });
  });

  test("the staged files were lost: `interrupted`, so that another attempt is made", async () => {
    await drivingCar();
    await send(2, [base, seats]);
    await car.agent.stop();
    const { slots } = await openDirectoryStorage(root);
    const staged = (await slots.active()) === "a" ? "b" : "a";
    await writeFile(join(root, "configuration", "slots", staged, "manifest.json"), "");
    adapter.turn({ moving: false });
    const { seq: last } = car.agent.state();
    await restart();
    expect(await report(({ seq }) => seq > last)).toMatchObject({
      active: { version: 1 },
      outcome: { version: 2, reason: "interrupted", failureClass: "transient" },
    });
  });

  test.each<{ step: FailpointName; newer: boolean; waiting: number | null }>([
    { step: "afterDeferral", newer: false, waiting: 2 },
    { step: "afterForgetting", newer: true, waiting: null },
  ])("$step: version $waiting waits afterwards", async ({ step, newer, waiting }) => {
    await restart(crashAt(step));
    await send(1, [base]);
    adapter.turn({ moving: true });
    const died = once(car.agent, "died");
    await broker.send(car.vin, "manifest", car.signer.manifest(car, 2, [seats]));
    if (newer) await broker.send(car.vin, "manifest", car.signer.manifest(car, 3, [base, seats]));
    await died;
    const { seq: last } = car.agent.state();
    await restart({ failpoint: () => undefined });
    const first = await report(({ seq }) => seq > last);
    expect(first.deferred?.version ?? null).toBe(waiting);
    expect(first.active).toEqual({ version: 1, hash: manifestHash([base]) });
    const target = newer ? 3 : 2;
    await send(target, newer ? [base, seats] : [seats]);
    const applied = await nextAfter(() => adapter.turn({ moving: false }));
    expect(applied).toMatchObject({ deferred: null, outcome: { version: target, result: "applied" } });
  });

  test("after the switch of a change that had waited: finished, no longer judged by the conditions", async () => {
    await restart(crashAt("afterSwitch", 2));
    await send(1, [base]);
    adapter.turn({ moving: true });
    await send(2, [seats]);
    const died = once(car.agent, "died");
    adapter.turn({ moving: false });
    await died;
    adapter.turn({ moving: true });
    const { seq: last } = car.agent.state();
    await restart({ failpoint: () => undefined });
    expect(await report(({ seq }) => seq > last)).toMatchObject({
      deferred: null,
      active: { version: 2, hash: manifestHash([seats]) },
      outcome: { version: 2, result: "applied" },
    });
  });
});

describe("terms that end meanwhile", () => {
  const minute = entry("conduccionAsistida", { term: { kind: "duration", seconds: 60 } });

  test("nothing is switched off while the car is driven; it ends when the car is parked", async () => {
    await startConnected(car.agent);
    await send(1, [base, minute]);
    adapter.turn({ moving: true });
    car.clock.advance(minuteMs);
    const ended = once(car.agent, "termEnded");
    adapter.turn({ stateOfChargePercent: 1, lockedBy: "navigation" });
    await send(1, [base, minute]);
    expect(car.agent.state().active.hash).toBe(manifestHash([base, minute]));
    adapter.turn({ moving: false });
    await ended;
    expect(car.agent.state().active).toEqual({ version: 1, hash: manifestHash([base]) });
  });

  test("a change that waits for a lock is staged again without ended entries", async () => {
    await startConnected(car.agent);
    await send(1, [base, minute]);
    adapter.turn({ lockedBy: "navigation" });
    await send(2, [base, minute, seats]);
    car.clock.advance(minuteMs);
    const ended = once(car.agent, "termEnded");
    adapter.turn({});
    await ended;
    const waiting = await report(({ active }) => active.hash === manifestHash([base]));
    expect(waiting).toMatchObject({ active: { version: 1 }, deferred: { version: 2, reason: "locked" } });
    const applied = await nextAfter(() => adapter.turn({ lockedBy: null }));
    expect(applied).toMatchObject({
      active: { version: 2, hash: manifestHash([base, seats]) },
      outcome: { result: "applied", version: 2, hash: manifestHash([base, minute, seats]) },
    });
  });
});

test("a long apply is reported while it runs, without an outcome", async () => {
  const go = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const apply = adapter.apply;
  adapter.apply = async (configuration) => {
    if (configuration.version === 1) {
      begun.resolve();
      await go.promise;
    }
    return apply.call(adapter, configuration);
  };
  await restart({ slowWorkMs: 5 });
  const meanwhile = await send(1, [base]);
  expect(meanwhile).toMatchObject({
    active: { version: 0, hash: emptyManifestHash },
    outcome: null,
    deferred: null,
  });
  // A busy disk may take those 5 ms for itself.
  await begun.promise;
  expect(car.agent.state().lifecycle).toBe("applying");
  const proved = await nextAfter(() => go.resolve());
  expect(proved).toMatchObject({ outcome: { version: 1, result: "applied" } });
});
