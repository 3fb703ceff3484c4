import { sql } from "kysely";
import type { Capability } from "../../http/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents, EventHandler } from "../../lifecycle/events.ts";
import { describeTask } from "../../rules/task-table.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { newestSaleOf } from "../../store/newest-sale.ts";
import { taskRoutes } from "./routes.ts";

export type Tasks = Capability & {
  onTaskNeeded: EventHandler<"taskNeeded">;
  onSecondLookTaken: EventHandler<"secondLookTaken">;
};

/** Work that only a person can settle: the platform opens a task, staff resolve it (ES6, ES7). */
export function createTasks(context: Context): Tasks {
  return {
    addRoutes: (routing) => taskRoutes(context, routing),
    onTaskNeeded: (tx, needed) => openTasks(context, tx, needed),
    onSecondLookTaken: (tx, taken) => closeSecondLooks(context, tx, taken),
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
    const { team, title } = describeTask(needed, subject);
    return { id: newId(), kind, team, title, detail, ...subject };
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

/** The look is what was asked for. The step of the payment names the person who took it. */
async function closeSecondLooks(
  context: Context,
  tx: Transaction,
  all: readonly DomainEvents["secondLookTaken"][],
): Promise<void> {
  for (const { paymentId, outcome, checkedBy } of all)
    await tx
      .updateTable("tasks")
      .set({
        status: "resolved",
        resolved_at: context.clock.now(),
        resolved_by: checkedBy,
        resolution: `the second look ${outcome}`,
      })
      .where("kind", "=", "secondLook")
      .where("status", "=", "open")
      .where(sql`detail ->> 'paymentId'`, "=", paymentId)
      .execute();
}
