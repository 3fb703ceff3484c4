import type { AutomationId } from "./automation-table.ts";
import type { NotificationId } from "./notification-table.ts";

/**
 * One line of a state diagram: in `from`, on `event`, go to `to`.
 * "start" and "end" are the diagram's [*]; an arrow from a state to itself records something and moves nothing.
 */
export type Arrow<S extends string, E extends string, G extends string> = {
  /** Row id: VA1…VA16, SA1…SA17, or an addition's own id. */
  id: string;
  from: S | "start";
  event: E;
  to: S | "end";
  label: string;
  /** Row of the automation table for this step; null where that table has none. */
  automation: AutomationId | null;
  notifies: readonly NotificationId[];
  /** All must hold; the first that does not is the refusal's reason. */
  guards: readonly G[];
};

/** An arrow to [*] that waits for nothing: reaching `from` is the end of the process. */
export type Ending<S extends string> = { id: string; label: string; from: S };

/** Makes the rows of one machine, whose guards are `G`; what its types know of states and events comes from them. */
export function arrowsGuardedBy<G extends string>() {
  return <
    const Id extends string,
    const From extends string,
    const Event extends string,
    const To extends string,
  >(
    id: Id,
    from: From,
    event: Event,
    to: To,
    label: string,
    automation: AutomationId | null,
    notifies: readonly NotificationId[] = [],
    guards: readonly G[] = [],
  ) => ({ id, from, event, to, label, automation, notifies, guards });
}
