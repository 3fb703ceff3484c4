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

/** What only a person can settle: opened by the platform, resolved by staff (ES6, ES7). */
export function createTasks(context: Context): Tasks {
  return {
    addRoutes: (routing) => taskRoutes(context, routing),
    onTaskNeeded: (tx, needed) => openTasks(context, tx, needed),
  };
}

/** Writes tasks down for their teams; the dealership is the one that sold the car they are about. */
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
