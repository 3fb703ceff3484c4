import { type RunReport, runReportSchema } from "../report/run-report.ts";

/** A report with something in every part of it. */
export function makeSampleReport(changes: Partial<RunReport> = {}): RunReport {
  const quantiles = { p50Ms: 120, p95Ms: 480, p99Ms: 900, maxMs: 1_400 };
  return runReportSchema.parse({
    format: "caas-simulation-1",
    startedAt: "2026-01-05T07:00:00.000Z",
    seconds: 60,
    command: "npm run simulate -- --seed 1",
    seed: 1,
    machine: { processor: "a processor", cores: 2 },
    world: "a small world",
    scenario: { name: "sample", describes: "what a report looks like" },
    profile: { name: "normal", describes: "a healthy fleet", isNormal: true },
    processes: 2,
    numbers: {
      vehicles: 100,
      connected: 99,
      drops: 1,
      activations: { sent: 100, applied: 96, failed: 2, pending: 2 },
      firstAttemptSuccess: 0.97,
      p50Ms: 120,
      p95Ms: 480,
      p99Ms: 900,
      kbPerCar: 60,
      connectsPerSecond: 50,
    },
    successAfterRetries: 0.98,
    targets: [
      {
        target: "otaFirstAttempt",
        process: "OTA activation",
        metric: "First-attempt success rate",
        wanted: "> 95 %",
        measured: 0.97,
        samples: 98,
        verdict: "met",
      },
    ],
    assertions: [{ measure: "drops", says: "links lost", wanted: "at most 0", measured: 1, held: false }],
    waves: [{ wave: "release", kind: "bulk", sent: 100, applied: 96, failed: 2, pending: 2, ...quantiles }],
    carKinds: [{ kind: "commuter", cars: 100, applied: 96, failed: 2, pending: 2 }],
    failures: { probeFailed: 3 },
    pendingBecause: { driving: 2 },
    latency: {
      quantiles,
      bars: [
        { upToMs: 100, count: 40 },
        { upToMs: 1_500, count: 56 },
      ],
    },
    connecting: { quantiles, count: 100 },
    reconnecting: { quantiles, count: 1 },
    series: [
      { atS: 0, connected: 0, sent: 0, applied: 0, failed: 0, drops: 0, p50Ms: null, p99Ms: null },
      { atS: 1, connected: 99, sent: 100, applied: 96, failed: 2, drops: 1, p50Ms: 120, p99Ms: 900 },
    ],
    links: { drops: { "the broker closed the connection": 1 }, weather: {}, notConnected: {}, refused: {} },
    attacks: {},
    crashes: {},
    doubleApplies: 0,
    forgedAccepted: 0,
    customers: null,
    sales: null,
    generatorLagMs: 4,
    troubles: [],
    verdict: "missed",
    misses: ["links lost: 1, and not at most 0"],
    ...changes,
  });
}
