import { duration, percent } from "../report/print-report.ts";
import { targets } from "../report/targets.ts";
import { nowMs } from "../run/pace.ts";
import type { Phase, Running } from "../run/run.ts";

/** A run as it goes, in words; the same for a terminal and for a log. */
export function describeRun(run: Running, phase: Phase): string[] {
  const { situation, changeLog, vehicles } = run;
  const { sent, applied, failed } = changeLog.totals;
  const elapsedS = (nowMs() - run.startedMs) / 1000;
  const leftS = Math.max(0, (run.dueMs - nowMs()) / 1000);
  const points = run.series.points().slice(-5);
  const perSecond = points.reduce((sum, point) => sum + point.applied, 0) / Math.max(1, points.length);
  const drops = Object.values(situation.drops).reduce((sum, count) => sum + count, 0);
  const lines = [
    `${phase.padEnd(10)} ${elapsedS.toFixed(0).padStart(4)} s${phase === "ended" ? "" : `, ${leftS.toFixed(0)} s left at most`}`,
    `cars       ${situation.connected} of ${vehicles} connected, ${drops} links lost${worst(situation.notConnected)}`,
    `changes    ${sent} sent, ${sent - applied - failed} waiting, ${applied} applied (${perSecond.toFixed(1)}/s), ${failed} failed${reasons(changeLog.failures)}`,
    `latency    ${quantilesOf(run)}`,
    `budget     ${budgetOf(run)}`,
  ];
  const { buyers, sellers } = run;
  if (buyers !== null && buyers.counts.arrived > 0)
    lines.push(`customers  ${buyers.counts.arrived} came, ${buyers.counts.bought} bought`);
  if (sellers !== null && sellers.counts.begun > 0)
    lines.push(`sales      ${sellers.counts.operational} of ${sellers.counts.begun} cars ready for use`);
  return lines;
}

function quantilesOf({ changeLog }: Running): string {
  const { p50Ms, p95Ms, p99Ms } = changeLog.latencies.quantiles();
  return `p50 ${duration(p50Ms)}, p95 ${duration(p95Ms)}, p99 ${duration(p99Ms)}`;
}

/** How much of what the first-attempt target allows to fail has failed. */
function budgetOf({ changeLog }: Running): string {
  const { firstAttempts, firstAttemptsApplied } = changeLog.totals;
  if (firstAttempts === 0) return "nothing has been tried yet";
  const failed = firstAttempts - firstAttemptsApplied;
  const allowed = (1 - targets.otaFirstAttempt.bound.above) * firstAttempts;
  return `${percent(firstAttemptsApplied / firstAttempts)} at the first attempt: ${failed} of ${allowed.toFixed(0)} allowed failures used (${Math.round((failed / allowed) * 100)} %)`;
}

function reasons(failures: Readonly<Record<string, number>>): string {
  const entries = Object.entries(failures).toSorted(([, left], [, right]) => right - left);
  return entries.length === 0
    ? ""
    : ` (attempts: ${entries.map(([name, count]) => `${name} ${count}`).join(", ")})`;
}

function worst(notConnected: Readonly<Record<string, number>>): string {
  const [most] = Object.entries(notConnected).toSorted(([, left], [, right]) => right - left);
  return most === undefined ? "" : `; not let in ${most[1]} times: ${most[0]}`;
}
