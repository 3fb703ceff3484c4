import { sql } from "kysely";
import { actorOf, type Principal } from "../../http/principal.ts";
import { type Refusal, refuse } from "../../http/refusal.ts";
import type { Context } from "../../lifecycle/context.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import { type TaskTeam, taskRow } from "../../rules/task-table.ts";
import type { Transaction } from "../../store/database.ts";

/** The team whose tasks a person sees; `null`: every team's. */
export function teamOf(principal: Principal): TaskTeam | null {
  switch (principal.role) {
    case "support":
      return "support";
    case "sales":
      return "dealership";
    case "admin":
      return null;
    case "customer":
      throw new Error("the access table keeps customers away from tasks");
  }
}

/** Records how a member of the team settled the task; the step names that person (HI7). */
export async function resolveTask(
  context: Context,
  tx: Transaction,
  request: { taskId: string; resolution: string; principal: Principal },
): Promise<{ kind: "resolved"; resolvedAt: Date } | Refusal> {
  const { taskId, resolution, principal } = request;
  const task = await tx
    .selectFrom("tasks")
    .selectAll()
    .where("id", "=", taskId)
    .forUpdate()
    .executeTakeFirstOrThrow(() => new Error(`no task ${taskId}`));
  const team = teamOf(principal);
  if (team !== null && task.team !== team)
    return refuse("notFound", "there is no such thing, or it is not yours to see");
  if (task.status === "resolved")
    return refuse("conflict", `the task was resolved already: ${task.resolution ?? ""}`);
  const closesWith = taskRow(task.kind)?.closesWith ?? null;
  if (closesWith !== null && (await isLookAwaited(tx, taskId)))
    return refuse("conflict", `this task closes with ${closesWith}, and not by hand`);
  const resolvedAt = context.clock.now();
  await tx
    .updateTable("tasks")
    .set({ status: "resolved", resolved_at: resolvedAt, resolved_by: principal.userId, resolution })
    .where("id", "=", taskId)
    .execute();
  await recordSteps(tx, [
    {
      expedienteId: task.expediente_id,
      vehicleId: task.vehicle_id,
      activationId: task.activation_id,
      event: "taskResolved",
      automation: null,
      actor: actorOf(principal),
      at: resolvedAt,
      detail: { task: task.kind },
    },
  ]);
  return { kind: "resolved", resolvedAt };
}

/** Older tasks stayed open after the look: those are closed by hand. */
async function isLookAwaited(tx: Transaction, taskId: string): Promise<boolean> {
  const payment = await tx
    .selectFrom("payments")
    .innerJoin("tasks", (join) => join.on(sql`payments.id::text`, "=", sql`tasks.detail ->> 'paymentId'`))
    .where("tasks.id", "=", taskId)
    .select("payments.status")
    .executeTakeFirst();
  return payment?.status === "unchecked";
}
