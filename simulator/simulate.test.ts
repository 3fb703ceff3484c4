import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CannotSimulate } from "./cannot-simulate.ts";
import type { RunReport } from "./report/run-report.ts";
import type { Running } from "./run/run.ts";
import type { World } from "./run/world.ts";
import { parseScenario } from "./scenarios/read-scenario.ts";
import { findProfile, type SimulateOptions, simulate } from "./simulate.ts";
import { openSmallWorld } from "./testing/small-world.ts";

let folder: string;
const said: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "caas-simulate-test-"));
  said.length = 0;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function play(
  text: string,
  changes: {
    profile?: string | null;
    world?: (world: World) => World;
    processes?: number;
    stopWhen?: (run: Running) => boolean;
  } = {},
): Promise<RunReport> {
  const content = parseScenario(text, "test.yaml");
  const stopping = new AbortController();
  const listener: SimulateOptions["listener"] = {
    phase(_phase, run) {
      const looking = setInterval(() => {
        if (changes.stopWhen?.(run) === true) stopping.abort();
      }, 50);
      stopping.signal.addEventListener("abort", () => clearInterval(looking), { once: true });
    },
    said: (sentence) => void said.push(sentence),
    sent: () => undefined,
    ended: () => undefined,
    attempted: () => undefined,
  };
  const report = await simulate({
    scenario: { name: "test", content },
    // `null`: the scenario's own.
    profile:
      changes.profile === null && typeof content.profile !== "string"
        ? { name: "own", content: content.profile }
        : findProfile(changes.profile ?? "steady"),
    seed: 11,
    processes: changes.processes ?? 1,
    tls: false,
    brokers: 1,
    provideWorld: async ({ vehicles }) => {
      const world = await openSmallWorld(vehicles);
      return changes.world?.(world) ?? world;
    },
    folder,
    command: "again",
    signal: stopping.signal,
    listener,
    say: () => undefined,
  });
  stopping.abort();
  return report;
}

const release = `
describes: every car gets a change
vehicles: 24
duration: 1s
settle: 20s
steps:
  - name: release
    bulkChange: { share: 1, over: 500ms, waveSize: 6, retries: 0 }
assertions:
  - { measure: connectedShare, atLeast: 1 }
  - { measure: doubleApplies, atMost: 0 }
`;

describe("a simulation", () => {
  test("real agents in two processes get a change, and the report counts each [ME7, ME8]", async () => {
    const report = await play(release, { processes: 2 });
    expect(report.numbers).toMatchObject({
      vehicles: 24,
      connected: 24,
      drops: 0,
      activations: { sent: 24, applied: 24, failed: 0, pending: 0 },
      firstAttemptSuccess: 1,
    });
    expect(report.numbers.p99Ms).toBeGreaterThan(0);
    expect(report.waves).toMatchObject([{ wave: "release", sent: 24, applied: 24 }]);
    expect(report.latency.bars.reduce((sum, { count }) => sum + count, 0)).toBe(24);
    expect(report.series.reduce((sum, { applied }) => sum + applied, 0)).toBe(24);
    expect(report.targets.find(({ target }) => target === "otaFirstAttempt")?.verdict).toBe("met");
    expect([report.verdict, report.misses]).toEqual(["held", []]);
  });

  test("a batch of bad firmware misses the specification's targets, and the report says which", async () => {
    const report = await play(release, { profile: "badFirmware" });
    expect(report.verdict).toBe("missed");
    expect(report.numbers.firstAttemptSuccess).toBeLessThan(0.95);
    expect(report.targets.map(({ verdict }) => verdict).slice(0, 2)).toEqual(["missed", "missed"]);
    expect(report.misses.join("\n")).toContain("OTA activation, first-attempt success rate");
    expect(report.failures.probeFailed).toBeGreaterThan(0);
    const { applied, failed } = report.numbers.activations;
    expect(applied + failed).toBe(24);
    expect(report.doubleApplies).toBe(0);
  });

  test("the same seed deals the same fleet the same fates", async () => {
    const first = await play(release, { profile: "badFirmwareBatch" });
    const second = await play(release, { profile: "badFirmwareBatch" });
    expect(second.carKinds.map(({ kind, cars }) => [kind, cars])).toEqual(
      first.carKinds.map(({ kind, cars }) => [kind, cars]),
    );
    expect(second.failures).toEqual(first.failures);
  });

  test("a broker that goes away takes every link, and all cars come back by themselves", async () => {
    const report = await play(
      release.replace("assertions:", "  - at: 100ms\n    brokerRestart: { downFor: 200ms }\nassertions:"),
    );
    expect(report.numbers).toMatchObject({ drops: 24, connected: 24 });
    expect(report.reconnecting.count).toBe(24);
    expect(report.verdict).toBe("held");
  });

  test("a storm is the weather's and no fault, and a car in an outage gets its change afterwards", async () => {
    const report = await play(
      release.replace(
        "assertions:",
        "  - reconnectStorm: { share: 0.5 }\n  - at: 10ms\n    outage: { share: 0.25, for: 300ms }\nassertions:",
      ),
    );
    expect(report.numbers).toMatchObject({ drops: 0, connected: 24, activations: { applied: 24 } });
    expect(report.links.weather.storm).toBeGreaterThan(0);
    expect(report.verdict).toBe("held");
  });

  test("each stage a change can fail at shows in the car's report by its own reason", async () => {
    const kind = (stage: string) =>
      `      - { share: 0.2, kind: { describes: ${stage}, applyMs: { median: 0, sigma: 0 }, failures: [{ stage: ${stage}, chance: 1, detail: no }] } }`;
    const mix = ["check", "staging", "switch", "readBack", "probe"].map(kind).join("\n");
    const profile = `profile:\n  describes: all that can fail\n  mix:\n${mix}\n`;
    const text = `${profile}${release.replace("vehicles: 24", "vehicles: 60")}`;
    const report = await play(text, { profile: null });
    expect(Object.keys(report.failures).toSorted()).toEqual([
      "adapterRejected",
      "healthCheckFailed",
      "probeFailed",
      "stagingFailed",
      "switchFailed",
    ]);
    expect(report.numbers.activations).toMatchObject({ sent: 60, applied: 0, failed: 60 });
  });

  test("a change that waits for its car is told with what the car waits for", async () => {
    const profile = `profile:
  describes: always on the road
  mix:
    - share: 1
      kind: { describes: drives, applyMs: { median: 0, sigma: 0 }, driving: { share: 1, tripSeconds: 3600 } }
`;
    const report = await play(`${profile}${release.replace("settle: 20s", "settle: 500ms")}`, {
      profile: null,
    });
    expect(report.numbers.activations).toMatchObject({ sent: 24, applied: 0, failed: 0, pending: 24 });
    expect(report.pendingBecause).toEqual({ driving: 24 });
    expect(report.numbers.firstAttemptSuccess).toBeNull();
  });

  test("power lost in the middle of a change ends in one outcome a version", async () => {
    const profile = `profile:
  describes: bad contacts
  mix:
    - share: 1
      kind:
        describes: loses power
        applyMs: { median: 5, sigma: 0.5 }
        reboot: { chance: 1, at: [afterIntent, afterStage, afterSwitch, afterHealthCheck, afterOutcome] }
`;
    const report = await play(`${profile}${release}`, { profile: null });
    expect(Object.values(report.crashes).reduce((sum, count) => sum + count, 0)).toBe(24);
    const { applied, failed } = report.numbers.activations;
    expect([applied + failed, report.doubleApplies]).toEqual([24, 0]);
    expect(Object.keys(report.failures)).toEqual(failed === 0 ? [] : ["interrupted"]);
  });

  test("cars that were taken over are without effect on the others, and nobody believes them", async () => {
    const profile = `profile:
  describes: a quarter was taken over
  mix:
    - { share: 0.75, kind: steady }
    - share: 0.25
      kind:
        describes: attacks
        applyMs: { median: 0, sigma: 0 }
        attacks: { everySeconds: 0.05, kinds: [forgedReport, garbageReport, foreignTopic, oversizedTelemetry] }
`;
    const report = await play(`${profile}${release}`, { profile: null });
    const attacks = Object.values(report.attacks).reduce((sum, count) => sum + count, 0);
    expect(attacks).toBeGreaterThan(0);
    const honest = report.carKinds.find(({ kind }) => kind === "steady");
    expect(honest).toMatchObject({ failed: 0, pending: 0 });
    expect(honest?.applied).toBe(honest?.cars);
    expect([report.doubleApplies, report.forgedAccepted]).toEqual([0, 0]);
  });

  test("where no broker is, the state is said, and a report still comes", async () => {
    const report = await play(release, {
      world: (world) => ({ ...world, brokerUrl: "mqtt://127.0.0.1:1" }),
      stopWhen: ({ situation }) => Object.keys(situation.notConnected).length > 0,
    });
    expect(report.numbers).toMatchObject({ connected: 0, activations: { applied: 0 } });
    expect(Object.keys(report.links.notConnected).join()).toContain("ECONNREFUSED");
    expect(report.verdict).toBe("missed");
    expect(report.misses).toContain("no car was connected at the end");
  });

  test("a step that this world cannot play is reported before it begins", async () => {
    const buying = release.replace(/bulkChange: .*/, "purchases: { perSecond: 1, for: 1s }");
    await expect(play(buying)).rejects.toThrow(CannotSimulate);
    await expect(play(buying)).rejects.toThrow("--rest");
  });
});
