import { failureReasons } from "@caas/contract/report.ts";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { DomainEvents } from "../lifecycle/events.ts";

// What operators watch. Labels hold kinds and reasons only: never a VIN, an order or a person.

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
};

/** Gauges that are read from the database when they are asked for. */
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

const latencyBuckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300];

/** Who breaks a promise now: read from the database when it is asked for. */
export type Violation = { invariant: string; tolerance: string | null; ageSeconds: number };

const watchedInvariants = ["moneyWithoutService", "serviceWithoutMoney"] as const;
/** Borne on purpose for a while, so counted apart; each pair is always there, so that a board shows zeroes. */
const watchedTolerances = [
  { invariant: "moneyWithoutService", reason: "presumed" },
  { invariant: "serviceWithoutMoney", reason: "presumed" },
  { invariant: "serviceWithoutMoney", reason: "chargeBack" },
] as const;
const teams = ["dealership", "support"] as const;
const knownOutcomes = [
  { outcome: "firstAttempt", reason: "" },
  { outcome: "afterRetries", reason: "" },
  { outcome: "gaveUp", reason: "attemptsExhausted" },
  { outcome: "gaveUp", reason: "holdExpired" },
  { outcome: "neverAttempted", reason: "holdExpired" },
] as const;
/** What a car gives as its reason, and the one that is ours: it said nothing at all. */
const attemptFailures = [...failureReasons, "noAnswer"] as const;
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
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const activationMoves = new Counter({
    name: "caas_activation_moves_total",
    help: "Moves of service activations, by event and the state they led to",
    labelNames: ["event", "to"],
    registers,
  });
  const vehicleMoves = new Counter({
    name: "caas_vehicle_moves_total",
    help: "Moves of vehicles, by event and the state they led to",
    labelNames: ["event", "to"],
    registers,
  });
  const attempts = new Counter({
    name: "caas_activation_attempts_total",
    help: "Ended over-the-air attempts: first or retry, applied or failed, and why",
    labelNames: ["attempt", "result", "reason"],
    registers,
  });
  const outcomes = new Counter({
    name: "caas_activation_outcomes_total",
    help: "Activations that are over: active at the first attempt, active after retries, given up, or never attempted because the car stayed away",
    labelNames: ["outcome", "reason"],
    registers,
  });
  // From the start: what appears with its first count has no rise that Prometheus could see.
  for (const labels of knownOutcomes) outcomes.inc(labels, 0);
  for (const attempt of ["first", "retry"]) {
    attempts.inc({ attempt, result: "applied", reason: "" }, 0);
    for (const reason of attemptFailures) attempts.inc({ attempt, result: "failed", reason }, 0);
  }
  const activationSeconds = new Histogram({
    name: "caas_activation_seconds",
    help: "From the hold's commit to the commit of the car's signed report",
    buckets: latencyBuckets,
    registers,
  });
  const maintenanceSeconds = new Histogram({
    name: "caas_maintenance_check_seconds",
    help: "Answer time of the workshops' system, by what it said",
    labelNames: ["status"],
    buckets: latencyBuckets,
    registers,
  });
  const requestSeconds = new Histogram({
    name: "caas_http_request_seconds",
    help: "REST requests by route and status",
    labelNames: ["method", "route", "status"],
    buckets: latencyBuckets,
    registers,
  });
  const sent = new Counter({
    name: "caas_manifests_sent_total",
    help: "Manifests handed to the broker",
    registers,
  });
  const taken = new Counter({
    name: "caas_link_messages_total",
    help: "Messages of cars taken in",
    registers,
  });
  const refused = new Counter({
    name: "caas_link_messages_refused_total",
    help: "Messages of cars refused, by reason: security events",
    labelNames: ["reason"],
    registers,
  });
  const jobs = new Gauge({
    name: "caas_jobs",
    help: "Jobs by kind: waiting, or out of attempts",
    labelNames: ["task", "status"],
    registers,
  });
  const due = new Gauge({
    name: "caas_manifests_due",
    help: "Cars a manifest is on the way to or waits for",
    registers,
  });
  const states = new Gauge({
    name: "caas_activations",
    help: "Activations by state",
    labelNames: ["state"],
    registers,
  });
  const online = new Gauge({ name: "caas_cars_online", help: "Cars known to be online", registers });
  const tasks = new Gauge({
    name: "caas_open_tasks",
    help: "Open tasks by team",
    labelNames: ["team"],
    registers,
  });
  const notifications = new Gauge({
    name: "caas_notifications",
    help: "Notifications by channel and status",
    labelNames: ["channel", "status"],
    registers,
  });

  const violations = new Gauge({
    name: "caas_invariant_violations",
    help: "Activations with money without service, or service without money; 0 at all times",
    labelNames: ["invariant"],
    registers,
  });
  const oldestViolation = new Gauge({
    name: "caas_invariant_oldest_seconds",
    help: "Age of the oldest such activation",
    labelNames: ["invariant"],
    registers,
  });

  const tolerated = new Gauge({
    name: "caas_invariant_tolerated",
    help: "Activations whose money and service differ on purpose for a while: presumed payments before their deadline, services of charged-back payments until the car has let go",
    labelNames: ["invariant", "reason"],
    registers,
  });
  const presumedOpen = new Gauge({
    name: "caas_presumed_open_cents",
    help: "What is delivered on presumed payments that are not known yet, in cents",
    registers,
  });
  const presumed = new Gauge({
    name: "caas_presumed_payments",
    help: "Presumed payments by what became of them",
    labelNames: ["outcome"],
    registers,
  });

  const keySetVersion = new Gauge({
    name: "caas_key_set_version",
    help: "Version of the signed key set in force here",
    registers,
  });
  const keySetAge = new Gauge({
    name: "caas_key_set_age_seconds",
    help: "Since that set was issued: the last rotation, revocation or extension of signing keys",
    registers,
  });
  const revocationVersion = new Gauge({
    name: "caas_revocation_list_version",
    help: "Version of the list of revoked cars; the broker's should be the same",
    registers,
  });
  const revocationAge = new Gauge({
    name: "caas_revocation_list_age_seconds",
    help: "Since the newest revocation; 0 where there is none",
    registers,
  });

  const seenJobs = new Set<string>();

  async function fillGauges(): Promise<void> {
    const [depths, broken, trust] = await Promise.all([readDepths(), readViolations(), readTrust()]);
    keySetVersion.set(trust.keySetVersion);
    keySetAge.set(trust.keySetAgeSeconds);
    revocationVersion.set(trust.revocationListVersion);
    revocationAge.set(trust.revocationListAgeSeconds);
    for (const invariant of watchedInvariants) {
      const ages = broken
        .filter((one) => one.invariant === invariant && one.tolerance === null)
        .map((one) => one.ageSeconds);
      violations.set({ invariant }, ages.length);
      oldestViolation.set({ invariant }, Math.max(0, ...ages));
    }
    for (const labels of watchedTolerances)
      tolerated.set(
        labels,
        broken.filter((one) => one.invariant === labels.invariant && one.tolerance === labels.reason).length,
      );
    presumedOpen.set(depths.presumedOpenCents);
    for (const outcome of presumptionOutcomes)
      presumed.set({ outcome }, depths.presumptions.find((row) => row.outcome === outcome)?.count ?? 0);
    for (const gauge of [states, notifications]) gauge.reset();
    // What was there once stays, at zero: an empty queue is a figure, too, and a series that comes and goes is none.
    for (const task of new Set([...seenJobs, ...depths.jobs.map((row) => row.task)])) {
      seenJobs.add(task);
      const row = depths.jobs.find((one) => one.task === task);
      jobs.set({ task, status: "waiting" }, row?.waiting ?? 0);
      jobs.set({ task, status: "exhausted" }, row?.exhausted ?? 0);
    }
    due.set(depths.manifestsDue);
    for (const row of depths.activations) states.set({ state: row.state }, row.count);
    online.set(depths.carsOnline);
    for (const team of teams)
      tasks.set({ team }, depths.openTasks.find((row) => row.team === team)?.count ?? 0);
    for (const row of depths.notifications)
      notifications.set({ channel: row.channel, status: row.status }, row.count);
  }

  function countAttempt({ event, detail }: DomainEvents["activationMoved"]): void {
    const attempt = detail.attempt === 1 ? "first" : "retry";
    if (event === "activationConfirmed") {
      attempts.inc({ attempt, result: "applied", reason: "" });
      outcomes.inc({ outcome: detail.attempt === 1 ? "firstAttempt" : "afterRetries", reason: "" });
    }
    if (event === "attemptFailed") attempts.inc({ attempt, result: "failed", reason: String(detail.reason) });
    if (event === "attemptsExhausted" || event === "holdExpired")
      outcomes.inc({ outcome: detail.attempts === 0 ? "neverAttempted" : "gaveUp", reason: event });
  }

  return {
    async render() {
      await fillGauges();
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
    onActivationMoved(moved) {
      activationMoves.inc({ event: moved.event, to: moved.to });
      countAttempt(moved);
    },
    onVehicleMoved({ event, to }) {
      vehicleMoves.inc({ event, to });
    },
    activationTook: (seconds) => activationSeconds.observe(seconds),
    maintenanceCheckTook: (ms, status) => maintenanceSeconds.observe({ status }, ms / 1_000),
    requestTook: (seconds, labels) => requestSeconds.observe(labels, seconds),
    manifestsSent: (count) => sent.inc(count),
    messagesTaken: (count) => taken.inc(count),
    messageRefused: (reason) => refused.inc({ reason }),
  };
}
