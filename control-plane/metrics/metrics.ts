import { failureReasons } from "@caas/contract/report.ts";
import { collectDefaultMetrics, Registry } from "prom-client";
import type { DomainEvents } from "../lifecycle/events.ts";
import type { ActivationEvent, ActivationState } from "../rules/activation-machine.ts";
import type { MaintenanceStatus } from "../rules/maintenance-gate.ts";
import type { Doubt } from "../rules/report-judgement.ts";
import type { TaskTeam } from "../rules/task-table.ts";
import { defineMetrics } from "./define-metrics.ts";

// The metrics that operators watch.

export type ControlPlaneMetrics = {
  /** The text that Prometheus scrapes. */
  render(): Promise<{ contentType: string; text: string }>;
  onActivationMoved(event: DomainEvents["activationMoved"]): void;
  onVehicleMoved(event: DomainEvents["vehicleMoved"]): void;
  /** Hold authorised and committed → signed report committed, seconds. */
  activationTook(seconds: number): void;
  maintenanceCheckTook(ms: number, status: string): void;
  requestTook(seconds: number, labels: { method: string; route: string; status: string }): void;
  manifestsSent(count: number): void;
  messagesTaken(count: number): void;
  messageRefused(reason: string): void;
  webhookHeard(source: string, outcome: string): void;
  webhookIgnored(source: string, reason: string): void;
  onCarDoubted(event: DomainEvents["carDoubted"]): void;
};

/** Counts that are read from the database when Prometheus asks. */
export type Depths = {
  jobs: readonly { task: string; waiting: number; exhausted: number }[];
  manifestsDue: number;
  activations: readonly { state: string; count: number }[];
  carsOnline: number;
  openTasks: readonly { team: string; count: number }[];
  notifications: readonly { channel: string; status: string; count: number }[];
  /** Presumed payments by what became of them, and what is open of them now. */
  presumptions: readonly { outcome: string; count: number }[];
  presumedOpenCents: number;
};

/** An activation that breaks a promise now. */
export type Violation = { invariant: string; tolerance: string | null; ageSeconds: number };

const watchedInvariants = ["moneyWithoutService", "serviceWithoutMoney"] as const;
/** Tolerated for a while, so counted apart; each pair is always there, so that a board shows zeroes. */
const watchedTolerances = [
  { invariant: "moneyWithoutService", reason: "presumed" },
  { invariant: "serviceWithoutMoney", reason: "presumed" },
  { invariant: "serviceWithoutMoney", reason: "chargeBack" },
] as const;
const teams = ["dealership", "support"] as const satisfies readonly TaskTeam[];
const knownOutcomes = [
  { outcome: "firstAttempt", reason: "" },
  { outcome: "afterRetries", reason: "" },
  { outcome: "gaveUp", reason: "attemptsExhausted" },
  { outcome: "gaveUp", reason: "holdExpired" },
  { outcome: "neverAttempted", reason: "holdExpired" },
] as const;
/** The reasons that cars give, and ours for a car that did not answer. */
const attemptFailures = [...failureReasons, "noAnswer"] as const;
const doubts = [
  "countersDisagree",
  "versionFarAhead",
  "appliedAtImpossible",
  "otherProofKey",
] as const satisfies readonly Doubt[];
/** What the workshops' word leads to, as `rules/maintenance-gate.ts` decides. */
const maintenanceMoves = [
  { event: "maintenanceCurrent", to: "PaymentInitiated" },
  { event: "maintenanceNotRequired", to: "PaymentInitiated" },
  { event: "maintenanceOverdue", to: "ServiceDenied" },
  { event: "maintenanceUnavailable", to: "ServiceDenied" },
] as const satisfies readonly { event: ActivationEvent; to: ActivationState }[];
const maintenanceStatuses = [
  "current",
  "overdue",
  "unknown",
  "unavailable",
] as const satisfies MaintenanceStatus[];
const presumptionOutcomes = ["open", "confirmed", "compensated", "dropped"] as const;

/** Ages in seconds of business time. */
export type Trust = {
  keySetVersion: number;
  keySetAgeSeconds: number;
  revocationListVersion: number;
  revocationListAgeSeconds: number;
};

export function createMetrics(
  readDepths: () => Promise<Depths>,
  readViolations: () => Promise<readonly Violation[]>,
  readTrust: () => Promise<Trust>,
): ControlPlaneMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const metrics = defineMetrics(registry);
  // From the start: Prometheus sees no rise in a series that appears with its first count.
  for (const labels of knownOutcomes) metrics.outcomes.inc(labels, 0);
  for (const attempt of ["first", "retry"]) {
    metrics.attempts.inc({ attempt, result: "applied", reason: "" }, 0);
    for (const reason of attemptFailures) metrics.attempts.inc({ attempt, result: "failed", reason }, 0);
  }
  for (const doubt of doubts) metrics.doubts.inc({ doubt }, 0);
  for (const labels of maintenanceMoves) metrics.activationMoves.inc(labels, 0);
  for (const status of maintenanceStatuses) metrics.maintenanceSeconds.zero({ status });
  const seenJobs = new Set<string>();

  async function fillGauges(): Promise<void> {
    const [depths, broken, trust] = await Promise.all([readDepths(), readViolations(), readTrust()]);
    metrics.keySetVersion.set(trust.keySetVersion);
    metrics.keySetAge.set(trust.keySetAgeSeconds);
    metrics.revocationVersion.set(trust.revocationListVersion);
    metrics.revocationAge.set(trust.revocationListAgeSeconds);
    for (const invariant of watchedInvariants) {
      const ages = broken
        .filter((one) => one.invariant === invariant && one.tolerance === null)
        .map((one) => one.ageSeconds);
      metrics.violations.set({ invariant }, ages.length);
      metrics.oldestViolation.set({ invariant }, Math.max(0, ...ages));
    }
    for (const labels of watchedTolerances)
      metrics.tolerated.set(
        labels,
        broken.filter((one) => one.invariant === labels.invariant && one.tolerance === labels.reason).length,
      );
    metrics.presumedOpen.set(depths.presumedOpenCents);
    for (const outcome of presumptionOutcomes)
      metrics.presumed.set(
        { outcome },
        depths.presumptions.find((row) => row.outcome === outcome)?.count ?? 0,
      );
    for (const gauge of [metrics.states, metrics.notifications]) gauge.reset();
    // A kind of job that was seen once stays, at zero: an empty queue is a figure too.
    for (const task of new Set([...seenJobs, ...depths.jobs.map((row) => row.task)])) {
      seenJobs.add(task);
      const row = depths.jobs.find((one) => one.task === task);
      metrics.jobs.set({ task, status: "waiting" }, row?.waiting ?? 0);
      metrics.jobs.set({ task, status: "exhausted" }, row?.exhausted ?? 0);
    }
    metrics.due.set(depths.manifestsDue);
    for (const row of depths.activations) metrics.states.set({ state: row.state }, row.count);
    metrics.online.set(depths.carsOnline);
    for (const team of teams)
      metrics.tasks.set({ team }, depths.openTasks.find((row) => row.team === team)?.count ?? 0);
    for (const row of depths.notifications)
      metrics.notifications.set({ channel: row.channel, status: row.status }, row.count);
  }

  function countAttempt({ event, detail }: DomainEvents["activationMoved"]): void {
    const attempt = detail.attempt === 1 ? "first" : "retry";
    if (event === "activationConfirmed") {
      metrics.attempts.inc({ attempt, result: "applied", reason: "" });
      metrics.outcomes.inc({ outcome: detail.attempt === 1 ? "firstAttempt" : "afterRetries", reason: "" });
    }
    if (event === "attemptFailed")
      metrics.attempts.inc({ attempt, result: "failed", reason: String(detail.reason) });
    if (event === "attemptsExhausted" || event === "holdExpired")
      metrics.outcomes.inc({ outcome: detail.attempts === 0 ? "neverAttempted" : "gaveUp", reason: event });
  }

  return {
    async render() {
      await fillGauges();
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
    onActivationMoved(moved) {
      metrics.activationMoves.inc({ event: moved.event, to: moved.to });
      countAttempt(moved);
    },
    onVehicleMoved({ event, to }) {
      metrics.vehicleMoves.inc({ event, to });
    },
    activationTook: (seconds) => metrics.activationSeconds.observe(seconds),
    maintenanceCheckTook: (ms, status) => metrics.maintenanceSeconds.observe({ status }, ms / 1_000),
    requestTook: (seconds, labels) => metrics.requestSeconds.observe(labels, seconds),
    manifestsSent: (count) => metrics.sent.inc(count),
    messagesTaken: (count) => metrics.taken.inc(count),
    onCarDoubted: ({ doubt }) => metrics.doubts.inc({ doubt }),
    messageRefused: (reason) => metrics.refused.inc({ reason }),
    webhookHeard: (source, outcome) => metrics.webhooks.inc({ source, outcome }),
    webhookIgnored: (source, reason) => metrics.webhooksIgnored.inc({ source, reason }),
  };
}
