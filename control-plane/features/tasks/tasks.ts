import { sql } from "kysely";
import type { Capability } from "../../http/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents, EventHandler } from "../../lifecycle/events.ts";
import { describeTask } from "../../rules/task-table.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { newestSaleOf } from "../../store/newest-sale.ts";
import { taskRoutes } from "./routes.ts";

export type Tasks = Capability & { onTaskNeeded: EventHandler<"taskNeeded"> };

/** Work that only a person can settle: the platform opens a task, staff resolve it (ES6, ES7). */
export function createTasks(context: Context): Tasks {
  return {
    addRoutes: (routing) => taskRoutes(context, routing),
    onTaskNeeded: (tx, needed) => openTasks(context, tx, needed),
  };
}

/** Opens tasks for their teams; a dealership gets those about the cars that it sold. */
async function openTasks(
  context: Context,
  tx: Transaction,
  all: readonly DomainEvents["taskNeeded"][],
): Promise<void> {
  const tasks = all.map((needed) => {
    const { kind, detail = {}, subject } = needed;
    return { id: newId(), kind, ...describeTask(needed, subject), detail, ...subject };
  });
  await sql`
    insert into tasks (id, kind, team, title, detail, expediente_id, vehicle_id, activation_id, dealership_id, created_at)
    select task.id, kind, team, title, detail, sale.id, coalesce(sale.vehicle_id, "vehicleId", activation.vehicle_id),
           "activationId", sale.dealership_id, ${context.clock.now()}
    from jsonb_to_recordset(${JSON.stringify(tasks)}::jsonb)
      as task (id uuid, kind text, team text, title text, detail jsonb,
               "expedienteId" uuid, "vehicleId" uuid, "activationId" uuid)
    left join activations activation on activation.id = "activationId"
    left join expedientes sale on sale.id =
      coalesce("expedienteId", ${newestSaleOf(sql`coalesce("vehicleId", activation.vehicle_id)`)})`.execute(
    tx,
  );
}
