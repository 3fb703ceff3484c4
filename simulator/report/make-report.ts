import { createLatencies } from "../measure/latencies.ts";
import { nowMs } from "../run/pace.ts";
import type { Finished } from "../run/run.ts";
import { type Assertion, type Measure, measures, type Scenario } from "../scenarios/scenario.ts";
import type { RunReport } from "./run-report.ts";
import { judgeTarget, type Verdict } from "./targets.ts";

export type ReportFrame = {
  startedAt: Date;
  command: string;
  seed: number;
  machine: RunReport["machine"];
  world: string;
  /** By which two runs are seen to have planned the same. */
  plan: string;
  scenario: { name: string; content: Scenario };
  profile: RunReport["profile"];
  processes: number;
};

/** What a finished run means: its numbers, what was promised of them, and a verdict. */
export function makeReport(finished: Finished, frame: ReportFrame): RunReport {
  const { changeLog, situation, buyers, sellers } = finished;
  const { sent, applied, failed, firstAttempts, firstAttemptsApplied } = changeLog.totals;
  const dropped = sumOf(situation.drops);
  const { p50Ms, p95Ms, p99Ms } = changeLog.latencies.quantiles();
  const firstAttemptSuccess = shareOf(firstAttemptsApplied, firstAttempts);
  const successAfterRetries = shareOf(applied, applied + failed);
  const numbers: RunReport["numbers"] = {
    vehicles: finished.vehicles,
    connected: situation.connected,
    drops: dropped,
    activations: { sent, applied, failed, pending: sent - applied - failed },
    firstAttemptSuccess,
    p50Ms,
    p95Ms,
    p99Ms,
    kbPerCar: Math.round(situation.carsBytes / 102.4 / Math.max(1, finished.vehicles)) / 10,
    connectsPerSecond: finished.connectsPerSecond,
  };
  const none = createLatencies();
  const credentials = sellers?.credentialsLatencies ?? none;
  const maintenance = buyers?.maintenanceLatencies ?? none;
  const targets = [
    judgeTarget("otaFirstAttempt", { value: firstAttemptSuccess, samples: firstAttempts }),
    judgeTarget("otaAfterRetries", { value: successAfterRetries, samples: applied + failed }),
    judgeTarget("salesToCredentials", {
      value: credentials.quantiles().maxMs,
      samples: credentials.count,
    }),
    judgeTarget("maintenanceCheck", { value: maintenance.percentileMs(99), samples: maintenance.count }),
  ];
  const measuredOf: Record<Measure, number | null> = {
    connectedShare: shareOf(situation.connected, finished.wanted),
    connectedOnceShare: shareOf(
      Math.min(finished.connectLatencies.count, finished.vehicles),
      finished.vehicles,
    ),
    drops: dropped,
    appliedShare: shareOf(applied, sent),
    pending: numbers.activations.pending,
    failed,
    firstAttemptSuccess,
    successAfterRetries,
    p50Ms,
    p95Ms,
    p99Ms,
    reconnectP99Ms: finished.reconnectLatencies.percentileMs(99),
    connectsPerSecond: finished.connectsPerSecond,
    kbPerCar: numbers.kbPerCar,
    doubleApplies: situation.doubleApplies,
    forgedAccepted: situation.forgedAccepted,
    soldShare: sellers === null ? null : shareOf(sellers.counts.operational, sellers.counts.begun),
    customersRefused: buyers === null ? null : sumOf(buyers.counts.refused),
  };
  const assertions = frame.scenario.content.assertions.map((assertion) =>
    judgeAssertion(assertion, measuredOf[assertion.measure]),
  );
  const misses = [
    ...explainTargets(targets, frame.profile.isNormal),
    ...assertions
      .filter(({ held }) => !held)
      .map(({ says, wanted, measured }) => `${says}: ${measured ?? "not measured"}, and not ${wanted}`),
    ...(situation.doubleApplies > 0 ? [`cars committed ${situation.doubleApplies} versions twice`] : []),
    ...(situation.forgedAccepted > 0 ? [`cars believed ${situation.forgedAccepted} forged documents`] : []),
    ...(situation.connected === 0 && finished.wanted > 0 ? ["no car was connected at the end"] : []),
    ...finished.troubles,
  ];
  return {
    format: "caas-simulation-1",
    startedAt: frame.startedAt.toISOString(),
    seconds: round((nowMs() - finished.startedMs) / 1000),
    command: frame.command,
    seed: frame.seed,
    machine: frame.machine,
    world: frame.world,
    plan: frame.plan,
    scenario: { name: frame.scenario.name, describes: frame.scenario.content.describes },
    profile: frame.profile,
    processes: frame.processes,
    numbers,
    successAfterRetries,
    targets,
    assertions,
    waves: [...changeLog.waves.values()].map(({ count, latencies }) => ({
      ...count,
      ...latencies.quantiles(),
    })),
    carKinds: listKinds(finished),
    failures: { ...changeLog.failures },
    pendingBecause: { ...finished.pendingBecause },
    latency: { quantiles: changeLog.latencies.quantiles(), bars: changeLog.latencies.bars() },
    connecting: {
      quantiles: finished.connectLatencies.quantiles(),
      count: finished.connectLatencies.count,
    },
    reconnecting: {
      quantiles: finished.reconnectLatencies.quantiles(),
      count: finished.reconnectLatencies.count,
    },
    series: finished.series.points(),
    links: {
      drops: situation.drops,
      weather: situation.weather,
      notConnected: situation.notConnected,
      refused: situation.refused,
    },
    attacks: situation.attacks,
    crashes: situation.crashes,
    doubleApplies: situation.doubleApplies,
    forgedAccepted: situation.forgedAccepted,
    customers: buyers === null ? null : { ...buyers.counts, rest: buyers.restLatencies.quantiles() },
    sales:
      sellers === null
        ? null
        : {
            ...sellers.counts,
            sale: sellers.saleLatencies.quantiles(),
            credentials: credentials.quantiles(),
          },
    generatorLagMs: round(finished.generatorLagMs),
    troubles: [...finished.troubles],
    verdict: misses.length === 0 ? "held" : "missed",
    misses,
  };
}

/** On a fleet that is declared bad a missed target is told, too: it is what such a fleet does. */
function explainTargets(verdicts: readonly Verdict[], isNormal: boolean): string[] {
  return verdicts
    .filter(({ verdict }) => verdict === "missed")
    .map(
      ({ process, metric, wanted, measured }) =>
        `${process}, ${metric.toLowerCase()}: ${measured === null ? "nothing" : plain(measured)}, and not ${wanted}` +
        (isNormal ? "" : " (the profile is not a normal one)"),
    );
}

function plain(value: number): string {
  return value <= 1 ? `${round(value * 100)} %` : `${round(value)} ms`;
}

function judgeAssertion({ measure, atLeast, atMost }: Assertion, measured: number | null) {
  const held =
    measured !== null &&
    (atLeast === undefined || measured >= atLeast) &&
    (atMost === undefined || measured <= atMost);
  const wanted = atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`;
  return { measure, says: measures[measure], wanted, measured, held };
}

function listKinds({ carKinds, changeLog }: Finished): RunReport["carKinds"] {
  const names = new Set([...carKinds.keys(), ...changeLog.byCarKind.keys()]);
  return [...names]
    .map((kind) => ({
      kind,
      cars: carKinds.get(kind) ?? 0,
      ...(changeLog.byCarKind.get(kind) ?? { applied: 0, failed: 0, pending: 0 }),
    }))
    .toSorted((left, right) => right.cars - left.cars);
}

export function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function shareOf(part: number, whole: number): number | null {
  return whole === 0 ? null : Math.round((part / whole) * 1e5) / 1e5;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
