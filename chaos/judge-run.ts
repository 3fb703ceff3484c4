import { type FaultKind, faultKinds } from "@caas/simulator/link/fault-schedule.ts";
import type { Verdict } from "./audit.ts";
import { gatewayKnobs } from "./ota-plan.ts";
import type { RareCounts, RarePath } from "./rare-paths.ts";
import { judgeViolation } from "./watch-invariants.ts";

/** The last line with --json. */
export type OtaReport = { activations: number } & Verdict & {
    worstViolationMs: number;
    faults: Readonly<Record<FaultKind, number>> & {
      crashes: Readonly<Record<string, number>>;
      kills: Readonly<Record<string, number>>;
      /** How often each fault of the payment gateway was used. */
      gateway: Readonly<Record<string, number>>;
      /** What disks of cars lost, by file and damage. */
      damages: Readonly<Record<string, number>>;
      /** Purchases that were taken, whose answer was lost, and that were repeated under their key. */
      lostAnswers: number;
    };
    rare: RareCounts;
    schedule: string;
  };

export type RunFindings = {
  report: OtaReport;
  /** The auditor's. */
  offenders: readonly string[];
  /** What went wrong with the rehearsal itself: a process that ended though nobody killed it. */
  troubles: readonly string[];
  plannedCrashes: ReadonlySet<string>;
  missingKills: readonly string[];
  invariantSamples: number;
  plannedRarePaths: readonly RarePath[];
};

/** A sentence for each reason why the run failed; none when everything held and every planned fault fired. */
export function judgeRun(findings: RunFindings): string[] {
  const { report, offenders, troubles, invariantSamples } = findings;
  const { activations, active, gaveUp, denied, withdrawn, worstViolationMs } = report;
  return [
    ...offenders,
    ...troubles,
    ...listMissingFaults(findings),
    ...judgeViolation(worstViolationMs),
    ...(invariantSamples === 0 ? ["the invariants were never looked at"] : []),
    ...(active + gaveUp + denied + withdrawn === activations
      ? []
      : [
          `${active} active, ${gaveUp} given up, ${denied} denied and ${withdrawn} withdrawn are not ${activations} activations`,
        ]),
  ];
}

/** A planned fault that never happened proves nothing. */
function listMissingFaults(findings: RunFindings): string[] {
  const { plannedCrashes, missingKills, plannedRarePaths } = findings;
  const { faults, rare } = findings.report;
  return [
    ...faultKinds.filter((kind) => faults[kind] === 0).map((kind) => `no packet was ${kind}`),
    ...[...plannedCrashes]
      .filter((place) => (faults.crashes[place] ?? 0) === 0)
      .map((place) => `no car crashed at ${place}`),
    ...plannedRarePaths
      .filter((path) => (rare[path] ?? 0) === 0)
      .map((path) => `the rare path ${path} was never taken`),
    ...gatewayKnobs
      .filter((knob) => (faults.gateway[knob] ?? 0) === 0)
      .map((knob) => `the gateway's fault ${knob} was never used`),
    ...missingKills.map((name) => `the planned kill ${name} never fired`),
    ...(faults.lostAnswers === 0 ? ["no purchase was repeated under its Idempotency-Key"] : []),
  ];
}
