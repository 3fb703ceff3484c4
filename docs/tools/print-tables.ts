import { activationMachine } from "@caas/control-plane/rules/activation-machine.ts";
import { automationTable, isAutomaticLevel } from "@caas/control-plane/rules/automation-table.ts";
import { type MetricRow, metricSection, metricTable } from "@caas/control-plane/rules/metric-table.ts";
import { addedNotifications } from "@caas/control-plane/rules/notification-rows.ts";
import { notificationTable, notificationTriggers } from "@caas/control-plane/rules/notification-table.ts";
import { taskTable } from "@caas/control-plane/rules/task-table.ts";
import { vehicleMachine } from "@caas/control-plane/rules/vehicle-machine.ts";
import { list, renderTable } from "./markdown.ts";

// The chapters of docs/rules.md about messages, tasks, automatic steps and metrics.

export function renderNotifications(): string {
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

export function renderTasks(): string {
  return [
    "## Tasks for people",
    "Work that needs a person. bySubject: support where it is about a service, the dealership where it is about a sale.",
    renderTable(
      ["kind", "team", "title", "what resolves it"],
      Object.entries(taskTable).map(([kind, row]) => [kind, row.team, row.title, row.toDo]),
    ),
  ].join("\n\n");
}

export function renderAutomation(): string {
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

export function renderMetrics(): string {
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
