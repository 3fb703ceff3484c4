import { metricTable } from "@caas/control-plane/rules/metric-table.ts";

// What boards and alerts ask Prometheus. Counters are summed over replicas, as each counts its own work; gauges that
// every replica reads from the one database are the same in each, so their maximum is taken.

/** Over how long a question looks back, in PromQL's notation. */
export type Windows = {
  /** For rates that are drawn. */
  rate: string;
  /** For targets that are judged at once, and daily. */
  realTime: string;
  daily: string;
  /** What a drop is compared with. */
  before: string;
};

export const shippedWindows: Windows = {
  rate: "5m",
  realTime: `${metricTable.ME7.windowMinutes}m`,
  daily: `${metricTable.ME8.windowMinutes}m`,
  before: "15m",
};

const active = 'outcome=~"firstAttempt|afterRetries"';
const over = 'outcome!="neverAttempted"';
const up = (job: string): string => `sum(up{job="${job}"})`;

export function expressionsFor({ rate, realTime, daily, before }: Windows) {
  const firstAttempts = `sum(increase(caas_activation_attempts_total{attempt="first"}[${realTime}]))`;
  const ended = `sum(increase(caas_activation_outcomes_total{${over}}[${daily}]))`;
  const checks = `sum(increase(caas_maintenance_check_seconds_count[${realTime}]))`;
  const decided = `sum(increase(caas_activation_moves_total{event=~"maintenance.+"}[${realTime}]))`;
  const quantile = (share: number, metric: string): string =>
    `histogram_quantile(${share}, sum by (le) (rate(${metric}_bucket[${rate}])))`;
  return {
    firstAttempts,
    firstAttemptSuccess: `sum(increase(caas_activation_attempts_total{attempt="first",result="applied"}[${realTime}])) / (${firstAttempts} > 0)`,
    ended,
    successAfterRetries: `sum(increase(caas_activation_outcomes_total{${active}}[${daily}])) / (${ended} > 0)`,
    outcomeRate: `sum by (outcome) (rate(caas_activation_outcomes_total[${rate}]))`,
    failureRate: `sum by (reason) (rate(caas_activation_attempts_total{result="failed"}[${rate}]))`,
    activationQuantile: (share: number) => quantile(share, "caas_activation_seconds"),
    checks,
    checksUnanswered: `sum(increase(caas_maintenance_check_seconds_count{status="unavailable"}[${realTime}])) / (${checks} > 0)`,
    decided,
    deniedUnanswered: `sum(increase(caas_activation_moves_total{event="maintenanceUnavailable"}[${realTime}])) / (${decided} > 0)`,
    denialRate: `sum by (event) (rate(caas_activation_moves_total{to="ServiceDenied"}[${rate}]))`,
    checkQuantile: (share: number) => quantile(share, "caas_maintenance_check_seconds"),
    activationsByState: "max by (state) (caas_activations)",
    carsOnline: "max(caas_cars_online)",
    carsOnlineBefore: `max(max_over_time(caas_cars_online[${before}]))`,
    connectedClients: "sum by (transport) (caas_broker_connected_clients)",
    connectRate: `sum(rate(caas_broker_connects_total[${rate}]))`,
    connectRefusals: `sum by (reason) (rate(caas_broker_connects_refused_total[${rate}]))`,
    manifestRate: `sum(rate(caas_manifests_sent_total[${rate}]))`,
    messageRate: `sum(rate(caas_link_messages_total[${rate}]))`,
    refusedMessages: `sum(increase(caas_link_messages_refused_total[${realTime}]))`,
    manifestsDue: "max(caas_manifests_due)",
    violations: "max by (invariant) (caas_invariant_violations)",
    oldestViolation: "max by (invariant) (caas_invariant_oldest_seconds)",
    tolerated: "max by (invariant, reason) (caas_invariant_tolerated)",
    exhaustedJobs: 'max by (task) (caas_jobs{status="exhausted"})',
    waitingJobs: 'max by (task) (caas_jobs{status="waiting"})',
    openTasks: "max by (team) (caas_open_tasks)",
    revocationGap: "max(caas_revocation_list_version) - min(caas_broker_revocation_list_version)",
    redisUp: "min(caas_broker_redis_up)",
    controlPlanesUp: up("control-plane"),
    brokersUp: up("broker"),
  } as const;
}

export type Expressions = ReturnType<typeof expressionsFor>;
