import {
  activationArrows,
  activationEndings,
  activationMachine,
} from "@caas/control-plane/rules/activation-machine.ts";
import {
  type ActivationGuardId,
  activationAddedGuards,
  activationAdditions,
  additionSection,
  type VehicleGuardId,
  vehicleAddedGuards,
  vehicleAdditions,
} from "@caas/control-plane/rules/additions.ts";
import type { Arrow, Ending } from "@caas/control-plane/rules/arrow.ts";
import { automationTable, isAutomaticLevel } from "@caas/control-plane/rules/automation-table.ts";
import {
  activationDependencies,
  activationEdges,
  vehicleDependencies,
  vehicleEdges,
} from "@caas/control-plane/rules/dependency-rules.ts";
import {
  defaultFinalPaymentTerms,
  forfeitureRules,
  reminderDaysBefore,
} from "@caas/control-plane/rules/final-payment-policy.ts";
import { applyMarginMs, giveUpMarginMs } from "@caas/control-plane/rules/hold-windows.ts";
import { type MetricRow, metricSection, metricTable } from "@caas/control-plane/rules/metric-table.ts";
import { addedNotifications } from "@caas/control-plane/rules/notification-rows.ts";
import { notificationTable, notificationTriggers } from "@caas/control-plane/rules/notification-table.ts";
import { type PaymentRow, paymentRows, paymentStatuses } from "@caas/control-plane/rules/payment-machine.ts";
import {
  defaultPresumptionLimits,
  firstLookUpMs,
  gatewaySilenceMs,
  lastAskMarginMs,
  longestLookUpMs,
  presumptionRules,
  reconcileWithinMs,
  searchSettlesAfterMs,
} from "@caas/control-plane/rules/presumption-policy.ts";
import { activationRetryPolicy, computeDelayCeiling } from "@caas/control-plane/rules/retry-policy.ts";
import { taskTable } from "@caas/control-plane/rules/task-table.ts";
import { vehicleArrows, vehicleMachine } from "@caas/control-plane/rules/vehicle-machine.ts";
import { renderDiagram, renderTable } from "./markdown.ts";

type AnyArrow = Arrow<string, string, VehicleGuardId | ActivationGuardId>;

/** Renders docs/rules.md from `control-plane/rules`: what it says is what runs. */
export function renderRules(): string {
  return `${[
    "# Rules of the business",
    "Printed by `npm run docs` from `control-plane/rules`; do not edit by hand, a test fails when it is stale. Section names are those of the specification. Its own rows come first, the [additions](#additions) stand apart.",
    renderMachines(),
    renderDependencies(),
    renderAdditions(),
    renderPayments(),
    renderPresumption(),
    renderForfeiture(),
    renderNotifications(),
    renderTasks(),
    renderAutomation(),
    renderMetrics(),
    renderNumbers(),
  ].join("\n\n")}\n`;
}

function renderMachines(): string {
  return [
    "## The vehicle",
    `Section: ${vehicleMachine.section}. [*] is the world outside: before the order, after the sale or the end of life.`,
    renderStates(vehicleArrows, []),
    renderArrows(vehicleArrows),
    "## The activation of a service",
    `Section: ${activationMachine.section}. An arrow to [*] without an event makes its state final.`,
    renderStates(activationArrows, activationEndings),
    renderArrows(activationArrows),
    renderTable(
      ["id", "final state", "meaning"],
      activationEndings.map((row) => [row.id, row.from, row.label]),
    ),
  ].join("\n\n");
}

function renderStates(arrows: readonly AnyArrow[], endings: readonly Ending<string>[]): string {
  const place = (state: string) => (state === "start" || state === "end" ? "[*]" : state);
  return renderDiagram([
    "stateDiagram-v2",
    ...arrows.map((row) => `    ${place(row.from)} --> ${place(row.to)}: ${row.id} ${row.label}`),
    ...endings.map((row) => `    ${row.from} --> [*]: ${row.id} ${row.label}`),
  ]);
}

function renderArrows(arrows: readonly AnyArrow[]): string {
  return renderTable(
    ["id", "from", "event", "to", "waits for", "step of", "tells"],
    arrows.map((row) => [
      row.id,
      row.from,
      row.event,
      row.to,
      list(row.guards),
      row.automation ?? "–",
      list(row.notifies),
    ]),
  );
}

function renderDependencies(): string {
  const rules = Object.entries({ ...vehicleDependencies, ...activationDependencies }).sort(([a], [b]) =>
    a.localeCompare(b, "en", { numeric: true }),
  );
  return [
    "## Dependencies",
    renderTable(
      ["id", "process", "waits for", "because", "otherwise", "used by"],
      rules.map(([id, row]) => [
        id,
        row.dependent,
        row.waitsFor,
        row.reason,
        row.exception === null ? "no exception" : `${row.exception.text} (${row.exception.arrow})`,
        listUsers(id),
      ]),
    ),
    "The nine edges of the diagram of critical dependencies:",
    renderTable(
      ["id", "first", "then", "used by"],
      Object.entries({ ...vehicleEdges, ...activationEdges }).map(([id, row]) => [
        id,
        row.before,
        row.after,
        listUsers(id),
      ]),
    ),
  ].join("\n\n");
}

function renderAdditions(): string {
  const arrows: readonly (AnyArrow & { reason: string })[] = [...vehicleAdditions, ...activationAdditions];
  const guards = Object.entries({ ...vehicleAddedGuards, ...activationAddedGuards });
  return [
    "## Additions",
    `${additionSection}: what the business needs and the specification does not say. No addition makes a new state.`,
    renderTable(
      ["id", "from", "event", "to", "waits for", "step of", "tells", "reason"],
      arrows.map((row) => [
        row.id,
        row.from,
        row.event,
        row.to,
        list(row.guards),
        row.automation ?? "–",
        list(row.notifies),
        row.reason,
      ]),
    ),
    renderTable(
      ["id", "refuses with", "used by", "reason"],
      guards.map(([id, row]) => [id, row.refusal, listUsers(id), row.reason]),
    ),
  ].join("\n\n");
}

function renderPayments(): string {
  return [
    "## Payments",
    "What becomes of a payment when something is heard of it. The settlement says whether a hold is to be taken or let go; it is decided once. Next: = the status stays, refused: the request is, never: it cannot happen, so nothing of it is kept.",
    renderTable(
      ["payment", "status", "settlement", "hears", "next", "effects", "why"],
      paymentRows.map(renderPaymentRow),
    ),
  ].join("\n\n");
}

function renderPaymentRow([kind, status, settlement, heard, next, effects, why = ""]: PaymentRow): string[] {
  return [
    kind,
    nameStatuses(status),
    settlement,
    listOf(heard),
    next === "same" ? "=" : next,
    list(effects),
    why,
  ];
}

/** Long lists are said by what they leave out. */
function nameStatuses(statuses: string | readonly string[]): string {
  const left = paymentStatuses.filter((status) => !statuses.includes(status));
  return left.length <= 1 ? ["any", ...left].join(" but ") : listOf(statuses);
}

function listOf(items: string | readonly string[]): string {
  return typeof items === "string" ? items : list(items);
}

function renderPresumption(): string {
  const { maxAmountCents, customerCapCents, totalCapCents } = defaultPresumptionLimits;
  return [
    "## Presumed payments",
    "When the gateway does not answer an authorisation, the payment is presumed to succeed if all of these hold; otherwise it waits, and nothing is delivered.",
    renderTable(
      ["id", "waits because", "reason"],
      Object.entries(presumptionRules).map(([id, row]) => [id, row.refusal, row.reason]),
    ),
    renderTable(
      ["what", "value"],
      [
        ["dearest payment that is presumed (unless configured otherwise)", cents(maxAmountCents)],
        ["open at once for one customer (unless configured otherwise)", cents(customerCapCents)],
        ["open at once for all customers (unless configured otherwise)", cents(totalCapCents)],
        ["the truth is known after, at the latest", `${reconcileWithinMs / 3_600_000} h`],
        ["the gateway is asked to pay with the same key until, before that", seconds(lastAskMarginMs)],
        ["first look-up after", seconds(firstLookUpMs)],
        ["longest time between two look-ups", seconds(longestLookUpMs)],
        ["after one that was not answered the others wait", seconds(gatewaySilenceMs)],
        ["one that was given up and is not found is called nonexistent after", seconds(searchSettlesAfterMs)],
      ],
    ),
  ].join("\n\n");
}

function renderForfeiture(): string {
  const { tries, deadlineDays } = defaultFinalPaymentTerms;
  return [
    "## The final payment",
    "When an unpaid car is lost, and with it the reservation. Both numbers are configured; as they come they say what the specification says.",
    renderTable(
      ["id", "rule", "reason"],
      Object.entries(forfeitureRules).map(([id, row]) => [id, row.text, row.reason]),
    ),
    renderTable(
      ["what", "value"],
      [
        ["refusals with which the car is lost (unless configured otherwise)", String(tries)],
        [
          "days until it is lost unpaid (unless configured otherwise)",
          deadlineDays === 0 ? "no such date" : String(deadlineDays),
        ],
        ["the customer is reminded, days before", reminderDaysBefore.join(", ")],
      ],
    ),
  ].join("\n\n");
}

function renderNotifications(): string {
  const arrows = [...vehicleMachine.arrows, ...activationMachine.arrows];
  return [
    "## Notifications",
    renderTable(
      ["id", "event", "trigger", "recipient", "channels", "timing", "priority", "sent by"],
      Object.entries(notificationTable).map(([id, row]) => [
        id,
        row.event,
        row.trigger === null ? "–" : `${row.trigger} ${notificationTriggers[row.trigger]}`,
        row.recipient,
        list(row.channels),
        row.timing,
        row.priority,
        list(arrows.filter((arrow) => arrow.notifies.some((sent) => sent === id)).map((arrow) => arrow.id)),
      ]),
    ),
    "Added to the specification's table:",
    renderTable(
      ["id", "event", "recipient", "channels", "timing", "priority", "why"],
      Object.entries(addedNotifications).map(([id, row]) => [
        id,
        row.event,
        row.recipient,
        list(row.channels),
        row.timing,
        row.priority,
        row.reason,
      ]),
    ),
    "A message no arrow sends is sent by its feature: credentials by the sale, maintenance reminders by the schedule.",
  ].join("\n\n");
}

function renderTasks(): string {
  return [
    "## Tasks for people",
    "What only a person can settle. bySubject: support where it is about a service, the dealership where it is about a sale.",
    renderTable(
      ["kind", "team", "title", "what resolves it"],
      Object.entries(taskTable).map(([kind, row]) => [kind, row.team, row.title, row.toDo]),
    ),
  ].join("\n\n");
}

function renderAutomation(): string {
  return [
    "## Automatic and manual steps",
    renderTable(
      ["id", "step", "level", "runs unaided", "actor or system", "set off by"],
      Object.entries(automationTable).map(([id, row]) => [
        id,
        row.step,
        row.level,
        isAutomaticLevel(row.level) ? "yes" : "no",
        row.actor,
        row.trigger,
      ]),
    ),
  ].join("\n\n");
}

function renderMetrics(): string {
  return [
    "## Metrics and their targets",
    `Section: ${metricSection}. The rows that are measured so far; the bound itself is a miss.`,
    renderTable(
      ["id", "process", "metric", "target", "what is measured", "not counted", "judged over", "how often"],
      Object.entries<MetricRow>(metricTable).map(([id, row]) => [
        id,
        row.process,
        row.metric,
        row.target.kind === "share"
          ? `more than ${row.target.above * 100} %`
          : `less than ${row.target.belowSeconds} s`,
        row.target.kind === "share"
          ? `${row.target.numerator}, of ${row.target.denominator}`
          : `from ${row.target.from} to ${row.target.to}`,
        row.exclusions,
        `${row.windowMinutes} min`,
        row.frequency,
      ]),
    ),
  ].join("\n\n");
}

function renderNumbers(): string {
  const { retries } = activationRetryPolicy;
  const waits = Array.from({ length: retries }, (_, index) =>
    seconds(computeDelayCeiling(activationRetryPolicy, index + 1)),
  );
  return [
    "## Numbers",
    renderTable(
      ["what", "value"],
      [
        ["attempts of an activation", `1 and ${retries} retries`],
        ["longest wait before each retry (the wait is drawn between zero and this)", waits.join(", ")],
        ["the car stops applying before the hold ends", seconds(applyMarginMs)],
        ["we give the activation up before the hold ends", seconds(giveUpMarginMs)],
      ],
    ),
  ].join("\n\n");
}

function list(items: readonly string[]): string {
  return items.length > 0 ? items.join(", ") : "–";
}

function listUsers(guard: string): string {
  const arrows: readonly AnyArrow[] = [...vehicleMachine.arrows, ...activationMachine.arrows];
  return list(arrows.filter((row) => row.guards.some((id) => id === guard)).map((row) => row.id));
}

function cents(amount: number): string {
  return `${(amount / 100).toFixed(2)} EUR`;
}

function seconds(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${Number((ms / 1_000).toFixed(1))} s`;
}
