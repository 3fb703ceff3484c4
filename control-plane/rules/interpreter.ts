import type { Arrow } from "./arrow.ts";
import { isAutomatic } from "./automation-table.ts";
import type { Decision, Guard, Machine, Refused } from "./types.ts";

/**
 * Decides what an event does to a process in `state`. Pure: it changes nothing and asks no one.
 * The first guard that does not hold is the refusal's rule; a pair without an arrow is refused too.
 */
export function decide<S extends string, E extends string, F, G extends string>(
  machine: Machine<S, E, F, G>,
  state: S | "start" | "end",
  event: E,
  facts: F,
): Decision<S> {
  const arrow = machine.arrows.find((row) => row.from === state && row.event === event);
  if (!arrow) return refuseAbsentArrow(machine, state, [event]);
  for (const id of arrow.guards) {
    const guard = machine.guards[id];
    if (!guard.holds(facts)) {
      return {
        kind: "refused",
        code: "guard",
        rule: id,
        section: guard.section,
        message: refuseInWords(arrow.label, state, id, guard),
        possible: listPossibleEvents(machine, state),
      };
    }
  }
  return {
    kind: "moved",
    arrowId: arrow.id,
    from: arrow.from,
    to: arrow.to,
    automation: arrow.automation,
    automatic: arrow.automation !== null && isAutomatic(arrow.automation),
    notifies: arrow.notifies,
  };
}

/** Whether the process is over in this state: no event will move it again. */
export function isFinal<S extends string, E extends string, F, G extends string>(
  machine: Machine<S, E, F, G>,
  state: S | "start" | "end",
): boolean {
  return state === "end" || machine.endings.some((ending) => ending.from === state);
}

/** The events `state` has an arrow for, in the table's order; whether their guards hold is another question. */
export function listPossibleEvents<S extends string, E extends string, F, G extends string>(
  machine: Machine<S, E, F, G>,
  state: S | "start" | "end",
): readonly E[] {
  return machine.arrows.filter((row) => row.from === state).map((row) => row.event);
}

/** Every state an arrow touches, in order of first appearance: the table is the only list of states there is. */
export function listStates<S extends string, E extends string, G extends string>(
  arrows: readonly Arrow<S, E, G>[],
): readonly S[] {
  const states = new Set<S>();
  for (const { from, to } of arrows) {
    if (from !== "start") states.add(from);
    if (to !== "end") states.add(to);
  }
  return [...states];
}

/** Every event an arrow waits for, in order of first appearance. */
export function listEvents<S extends string, E extends string, G extends string>(
  arrows: readonly Arrow<S, E, G>[],
): readonly E[] {
  return [...new Set(arrows.map((row) => row.event))];
}

/** The refusal of a request that any of these events would fulfil: it names every state in which one of them may happen. */
export function refuseAbsentArrow<S extends string, E extends string, F, G extends string>(
  machine: Machine<S, E, F, G>,
  state: S | "start" | "end",
  events: readonly E[],
): Refused {
  const able = machine.arrows.filter((row) => events.includes(row.event));
  const states = able.map(({ from }) => (from === "start" ? "the beginning" : from));
  const now = state === "start" ? "it has not begun" : state === "end" ? "it is over" : `it is ${state}`;
  return {
    kind: "refused",
    code: "noArrow",
    rule: machine.name,
    section: machine.section,
    message: `"${able[0]?.label ?? events[0]}" is possible for the ${machine.name} in ${listInWords(states)} only; ${now} (${machine.section}).`,
    possible: listPossibleEvents(machine, state),
  };
}

/** "Transport arranged" is refused in Registered by DE3: …, with the section. */
export function refuseInWords<F>(label: string, state: string, id: string, guard: Guard<F>): string {
  return `"${label}" is refused in ${state} by ${id}: ${guard.refusal} (${guard.section}).`;
}

function listInWords(words: readonly string[]): string {
  const all = [...new Set(words)];
  const last = all.pop() ?? "no state";
  return all.length === 0 ? last : `${all.join(", ")} or ${last}`;
}
