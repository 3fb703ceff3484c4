import { metricTable } from "@caas/control-plane/rules/metric-table.ts";
import { expressionsFor, type Windows } from "./expressions.ts";

export type Severity =
  /** Money or many customers: somebody is woken. */
  | "critical"
  /** Somebody looks today. */
  | "warning";

export type Alert = {
  name: string;
  /** What is judged; it has data all the time. */
  measures: string;
  /** True while something is wrong. */
  expr: string;
  /** How long it must hold before anybody is told, as PromQL writes it. */
  for: string;
  severity: Severity;
  /** One sentence for whoever is woken; `{{ … }}` is Prometheus' template. */
  summary: string;
  /** What to look at and what to do, for alerts.md. */
  runbook: string;
  /** Requirements it watches. */
  rows: readonly string[];
  /** Without it there is nothing to judge. */
  needs?: "redis";
};

/** Fewer than this say nothing about a share of one in twenty, or one in a hundred. */
const leastFirstAttempts = 20;
const leastEnded = 100;
/** A few cars that are parked in a basement are no outage. */
const leastCars = 20;
const carsLostShare = 0.2;
/** A car with a wrong clock or a curious person makes a handful. */
const mostRefusedMessages = 50;

const percent = "{{ $value | humanizePercentage }}";

/** How long a trouble that may pass is watched before anybody is told. */
export type Steady = {
  /** A restart takes seconds, and a revoked car must be out within a minute. */
  urgent: string;
  short: string;
  long: string;
};

/** Every alert; `steady` is how long a trouble that may pass is watched. */
export function alertsFor(windows: Windows, steady: Steady): readonly Alert[] {
  const ask = expressionsFor(windows);
  const { ME7, ME8, ME10 } = metricTable;
  return [
    {
      name: "FirstAttemptSuccessLow",
      measures: ask.firstAttemptSuccess,
      expr: `(${ask.firstAttemptSuccess}) <= ${ME7.target.above} and ${ask.firstAttempts} >= ${leastFirstAttempts}`,
      for: steady.short,
      severity: "warning",
      summary: `Only ${percent} of first attempts to activate a service succeed; the target is more than ${ME7.target.above * 100} %`,
      runbook:
        "See _Failed attempts by reason_ on the board. `adapterRejected` and `probeFailed` in many cars are a service that does not get on with their firmware, `interrupted` is power, silence is the network. Retries go on by themselves.",
      rows: ["ME7"],
    },
    {
      name: "SuccessAfterRetriesLow",
      measures: ask.successAfterRetries,
      expr: `(${ask.successAfterRetries}) <= ${ME8.target.above} and ${ask.ended} >= ${leastEnded}`,
      for: steady.short,
      severity: "critical",
      summary: `Only ${percent} of today's activations ended active; the target is more than ${ME8.target.above * 100} %`,
      runbook:
        "Each of the others has a support task and was not charged (`GET /api/tasks?team=support`). `GET /api/activations/{id}/explanation` tells any of them step by step, down to the car's signed report.",
      rows: ["ME8", "HI3"],
    },
    {
      name: "MoneyAndServiceDiffer",
      measures: ask.violations,
      expr: `${ask.violations} > 0`,
      for: steady.short,
      severity: "critical",
      summary: "{{ $value }} activations break the promise {{ $labels.invariant }}",
      runbook:
        "`GET /api/invariants` lists each with its time-line. They are repaired by the same deadlines and jobs as ever: look at _Jobs out of attempts_ first, then at the gateway.",
      rows: [],
    },
    {
      name: "MaintenanceCheckSlow",
      measures: ask.checkQuantile(0.95),
      expr: `${ask.checkQuantile(0.95)} >= ${ME10.target.belowSeconds}`,
      for: steady.short,
      severity: "warning",
      summary: `One in twenty answers of the workshops takes {{ $value | humanizeDuration }}; the target is less than ${ME10.target.belowSeconds} s, and what is late is denied`,
      runbook:
        "The workshops' system (VSS) is slow or down. Customers are denied meanwhile and nothing is charged; they can try again when it answers. Tell its operator.",
      rows: ["ME10"],
    },
    {
      name: "ControlPlaneDown",
      measures: ask.controlPlanesUp,
      expr: `${ask.controlPlanesUp} == 0 or absent(up{job="control-plane"})`,
      for: steady.urgent,
      severity: "critical",
      summary: "No control plane answers",
      runbook:
        "Nothing is lost: cars keep what they have, payments wait. Its log ends with the reason; a bad configuration names its variable. Start it again.",
      rows: [],
    },
    {
      name: "BrokerDown",
      measures: ask.brokersUp,
      expr: `${ask.brokersUp} == 0 or absent(up{job="broker"})`,
      for: steady.urgent,
      severity: "critical",
      summary: "No broker answers: no car can be reached",
      runbook:
        "Start it again; cars reconnect by themselves within seconds, at most a minute, and repeat what they hold.",
      rows: [],
    },
    {
      name: "CarsLost",
      measures: ask.carsOnline,
      expr: `${ask.carsOnline} < ${1 - carsLostShare} * ${ask.carsOnlineBefore} and ${ask.carsOnlineBefore} >= ${leastCars}`,
      for: steady.long,
      severity: "warning",
      summary: `More than ${carsLostShare * 100} % of the cars that were online are not any more; {{ $value }} are left`,
      runbook:
        "See _Connections_ on the board by reason of refusal: `certificate-dates` is an authority or a clock, `connect-rate` a storm that passes. With none refused it is the network between cars and broker.",
      rows: [],
    },
    {
      name: "JobsOutOfAttempts",
      measures: ask.exhaustedJobs,
      expr: `${ask.exhaustedJobs} > 0`,
      for: steady.short,
      severity: "warning",
      summary: "{{ $value }} jobs {{ $labels.task }} have used up their attempts and wait for a person",
      runbook:
        "The job's last error says which partner refused it, and why. Mend that, then have the job run again (`update jobs set attempts = 0, due_at = now() where id = ID`).",
      rows: [],
    },
    {
      name: "CarMessagesRefused",
      measures: ask.refusedMessages,
      expr: `${ask.refusedMessages} > ${mostRefusedMessages}`,
      for: steady.short,
      severity: "warning",
      summary: "{{ $value | humanize }} messages of cars were refused: forged, damaged or of unknown cars",
      runbook:
        "`caas_link_messages_refused_total` says by which reason, the control plane's log by which VIN. One VIN: revoke it (`POST /api/vehicles/{vehicleId}/revocation`). Many: the broker, or whoever has its password, is not to be trusted.",
      rows: [],
    },
    {
      name: "RevocationsNotEnforced",
      measures: ask.revocationGap,
      expr: `${ask.revocationGap} > 0`,
      for: steady.urgent,
      severity: "critical",
      summary: "A broker does not have the newest list of revoked cars",
      runbook:
        "A revoked car may still be connected. The control plane sends the list on every connection: look at the broker's log for why it refused it (its root key is not ours, its folder cannot be written).",
      rows: [],
    },
    {
      name: "BrokersApart",
      measures: ask.redisUp,
      needs: "redis",
      expr: `${ask.redisUp} == 0`,
      for: steady.urgent,
      severity: "critical",
      summary: "A broker has lost Redis: it does not hear cars and control planes of the others",
      runbook:
        "Cars at the control plane's own broker are served; the others' changes and purchases wait. Nothing is lost, and all is said again when Redis is back. `REDIS_URL` in that broker's environment says where it should be.",
      rows: [],
    },
  ];
}
