import type { Capability } from "../../lifecycle/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import { openTask } from "./open-task.ts";
import { taskRoutes } from "./routes.ts";

export type Tasks = Capability & { onTaskNeeded: EventHandler<"taskNeeded"> };

/** What only a person can settle: opened by the platform, resolved by staff (ES6, ES7). */
export function createTasks(context: Context): Tasks {
  return {
    addRoutes: (routing) => taskRoutes(context, routing),
    onTaskNeeded: each((tx, needed) => openTask(context, tx, needed)),
  };
}
