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
import {
  activationDependencies,
  activationEdges,
  vehicleDependencies,
  vehicleEdges,
} from "@caas/control-plane/rules/dependency-rules.ts";
import { vehicleArrows, vehicleMachine } from "@caas/control-plane/rules/vehicle-machine.ts";
import { list, renderDiagram, renderTable } from "./markdown.ts";
import {
  renderCorrections,
  renderForfeiture,
  renderNumbers,
  renderPayments,
  renderPresumption,
} from "./print-policies.ts";
import { renderAutomation, renderMetrics, renderNotifications, renderTasks } from "./print-tables.ts";

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
    renderCorrections(),
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
    renderTable(arrowColumns, vehicleArrows.map(listCells)),
    "## The activation of a service",
    `Section: ${activationMachine.section}. An arrow to [*] without an event makes its state final.`,
    renderStates(activationArrows, activationEndings),
    renderTable(arrowColumns, activationArrows.map(listCells)),
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

const arrowColumns = ["id", "from", "event", "to", "waits for", "step of", "tells"];

function listCells({ id, from, event, to, guards, automation, notifies }: AnyArrow): string[] {
  return [id, from, event, to, list(guards), automation ?? "–", list(notifies)];
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
      [...arrowColumns, "reason"],
      arrows.map((row) => [...listCells(row), row.reason]),
    ),
    renderTable(
      ["id", "refuses with", "used by", "reason"],
      guards.map(([id, row]) => [id, row.refusal, listUsers(id), row.reason]),
    ),
  ].join("\n\n");
}

function listUsers(guard: string): string {
  const arrows: readonly AnyArrow[] = [...vehicleMachine.arrows, ...activationMachine.arrows];
  return list(arrows.filter((row) => row.guards.some((id) => id === guard)).map((row) => row.id));
}
