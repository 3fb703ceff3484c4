import { metricTable } from "@caas/control-plane/rules/metric-table.ts";
import { expressionsFor, type Windows } from "./expressions.ts";

export type Severity =
  /** Money or many customers: someone is woken. */
  | "critical"
  /** Someone looks today. */
  | "warning";

export type Alert = {
  name: string;
  severity: Severity;
  /** How long it must hold before anyone is told, as PromQL writes it. */
  for: string;
  /** Requirements it watches. */
  rows: readonly string[];
  /** The figure that is judged; it has data all the time. */
  measures: string;
  /** True while something is wrong. */
  expr: string;
  /** One sentence for the person on call; `{{ … }}` is Prometheus' template. */
  summary: string;
  /** Where to look and what to do, for alerts.md. */
  runbook: string;
  /** Without it there is nothing to judge. */
  needs?: "redis";
};

/** Fewer cases than this say nothing about a share of one in twenty, or one in a hundred. */
const leastFirstAttempts = 20;
const leastEnded = 100;
/** A few cars parked in a basement are no outage. */
const leastCars = 20;
/** As many questions to the workshops, and as many purchases that were decided by their answers. */
const leastChecks = 20;
/** ME10 wants an answer within two seconds. We wait 1.8 s for it, so that a late answer shows as none, not as a long one. */
const mostUnanswered = 0.05;
/** Every other customer is turned away. */
const mostDenied = 0.5;
const carsLostShare = 0.2;
/** A car with a wrong clock or a curious owner makes a handful. */
const mostRefusedMessages = 50;

const percent = "{{ $value | humanizePercentage }}";

/** How long a problem that may pass is watched before anyone is told. */
export type Steady = {
  /** A restart takes seconds, and a revoked car must be out within a minute. */
  urgent: string;
  short: string;
  long: string;
};

export function alertsFor(windows: Windows, steady: Steady): readonly Alert[] {
  const ask = expressionsFor(windows);
  const { ME7, ME8, ME10 } = metricTable;
  // biome-ignore format: one row a line, its texts below
  return [
    { name: "FirstAttemptSuccessLow", severity: "warning", for: steady.short, rows: ["ME7"],
      measures: ask.firstAttemptSuccess,
      expr: `(${ask.firstAttemptSuccess}) <= ${ME7.target.above} and ${ask.firstAttempts} >= ${leastFirstAttempts}`,
      summary: `Only ${percent} of first attempts to activate a service succeed; the target is more than ${ME7.target.above * 100} %`,
      runbook: "See _Failed attempts by reason_ on the board. `adapterRejected` and `probeFailed` in many cars mean that a service does not work with their firmware; `interrupted` means power, `noAnswer` the network. Retries go on by themselves." },
    { name: "SuccessAfterRetriesLow", severity: "critical", for: steady.short, rows: ["ME8", "HI3"],
      measures: ask.successAfterRetries,
      expr: `(${ask.successAfterRetries}) <= ${ME8.target.above} and ${ask.ended} >= ${leastEnded}`,
      summary: `Only ${percent} of today's activations ended active; the target is more than ${ME8.target.above * 100} %`,
      runbook: "Each of the others has a support task and was not charged (`GET /api/tasks?team=support&status=open`). `GET /api/activations/{id}/explanation` explains each of them step by step, down to the car's signed report." },
    { name: "MoneyAndServiceDiffer", severity: "critical", for: steady.short, rows: [],
      measures: ask.violations,
      expr: `${ask.violations} > 0`,
      summary: "{{ $value }} activations break the promise {{ $labels.invariant }}",
      runbook: "`GET /api/invariants` lists each with its timeline. The usual deadlines and jobs repair them: look at _Jobs out of attempts_ first, then at the gateway." },
    { name: "MaintenanceCheckUnanswered", severity: "warning", for: steady.short, rows: ["ME10"],
      measures: ask.checksUnanswered,
      expr: `(${ask.checksUnanswered}) >= ${mostUnanswered} and ${ask.checks} >= ${leastChecks}`,
      summary: `${percent} of the questions to the workshops got no answer in time; the target is less than ${ME10.target.belowSeconds} s, and no answer is a denial`,
      runbook: "The workshops' system (VSS) is slow or down, or refuses our key. Customers are denied meanwhile and nothing is charged; they can try again when it answers. `GET /api/vehicles/{vehicleId}/maintenance` asks it now. Tell its operator." },
    { name: "PurchasesDeniedUnanswered", severity: "critical", for: steady.short, rows: ["ME10"],
      measures: ask.deniedUnanswered,
      expr: `(${ask.deniedUnanswered}) >= ${mostDenied} and ${ask.decided} >= ${leastChecks}`,
      summary: `${percent} of the purchases were denied because the workshops gave no answer`,
      runbook: "Hardly anybody can buy: see _Denied purchases_ on the board. It is the outage that MaintenanceCheckUnanswered warns of, or a network between us and the workshops. `VSS_URL` and `VSS_API_KEY` say where we ask and with which key. Nothing is charged, and nothing is lost." },
    { name: "ControlPlaneDown", severity: "critical", for: steady.urgent, rows: [],
      measures: ask.controlPlanesUp,
      expr: `${ask.controlPlanesUp} == 0 or absent(up{job="control-plane"})`,
      summary: "No control plane answers",
      runbook: "Nothing is lost: cars keep what they have, payments wait. Its log ends with the reason; a bad configuration names its variable. Start it again." },
    { name: "BrokerDown", severity: "critical", for: steady.urgent, rows: [],
      measures: ask.brokersUp,
      expr: `${ask.brokersUp} == 0 or absent(up{job="broker"})`,
      summary: "No broker answers: no car can be reached",
      runbook: "Start it again; cars reconnect by themselves within seconds, at most a minute, and repeat what they hold." },
    { name: "CarsLost", severity: "warning", for: steady.long, rows: [],
      measures: ask.carsOnline,
      expr: `${ask.carsOnline} < ${1 - carsLostShare} * ${ask.carsOnlineBefore} and ${ask.carsOnlineBefore} >= ${leastCars}`,
      summary: `More than ${carsLostShare * 100} % of the cars that were online are offline; {{ $value }} are left`,
      runbook: "See _Connections_ on the board by reason of refusal: `certificate-dates` means an authority or a clock, `connect-rate` a storm that passes. If none is refused, it is the network between cars and broker." },
    { name: "JobsOutOfAttempts", severity: "warning", for: steady.short, rows: [],
      measures: ask.exhaustedJobs,
      expr: `${ask.exhaustedJobs} > 0`,
      summary: "{{ $value }} jobs {{ $labels.task }} have used up their attempts and wait for a person",
      runbook: "`npx caas-admin list-jobs` lists them with their last errors, which say which partner refused, and why. Fix that, then run them again: `npx caas-admin retry-jobs ID`." },
    { name: "CarMessagesRefused", severity: "warning", for: steady.short, rows: [],
      measures: ask.refusedMessages,
      expr: `${ask.refusedMessages} > ${mostRefusedMessages}`,
      summary: "{{ $value | humanize }} messages of cars were refused: forged, damaged or of unknown cars",
      runbook: "`caas_link_messages_refused_total` gives the reason, the control plane's log the VIN. One VIN: revoke it (`POST /api/vehicles/{vehicleId}/revocation`). Many: do not trust the broker, or anyone with its password." },
    { name: "RevocationsNotEnforced", severity: "critical", for: steady.urgent, rows: [],
      measures: ask.revocationGap,
      expr: `${ask.revocationGap} > 0`,
      summary: "A broker does not have the newest list of revoked cars",
      runbook: "A revoked car may still be connected. The control plane sends the list on every connection: look at the broker's log for why it refused it (its root key is not ours, its folder cannot be written)." },
    { name: "BrokersApart", severity: "critical", for: steady.urgent, rows: [], needs: "redis",
      measures: ask.redisUp,
      expr: `${ask.redisUp} == 0`,
      summary: "A broker has lost Redis: it does not hear the other brokers' cars and control planes",
      runbook: "Cars at the control plane's own broker are served; the others' changes and purchases wait. Nothing is lost; everything is sent again when Redis is back. `REDIS_URL` in that broker's environment says where it should be." },
  ];
}
