import * as z from "zod";
import { lineOfText } from "../../http/contact-fields.ts";
import { addCommand, addQuery, type Routing } from "../../http/routes.ts";
import type { Context } from "../../lifecycle/context.ts";
import { taskRow, taskTeams } from "../../rules/task-table.ts";
import { resolveTask, teamOf } from "./resolve-task.ts";

const taskStatuses = ["open", "resolved"] as const;

const taskSchema = z.object({
  id: z.uuid(),
  kind: z.string(),
  team: z.enum(taskTeams),
  title: z.string(),
  toDo: z.string().nullable().meta({
    description: "What settles it; null for a kind of task that is not opened any more.",
    example: "Arrange another day or another carrier (FA15).",
  }),
  detail: z.record(z.string(), z.unknown()),
  status: z.enum(taskStatuses),
  expedienteId: z.uuid().nullable(),
  vehicleId: z.uuid().nullable(),
  activationId: z.uuid().nullable(),
  createdAt: z.iso.datetime(),
  resolvedAt: z.iso.datetime().nullable(),
  resolution: z.string().nullable(),
});

/** A screenful; older ones are history. */
const listLimit = 200;

/** `GET /api/tasks` and `POST /api/tasks/:taskId/resolution`. */
export function taskRoutes(context: Context, routing: Routing): void {
  addQuery(routing, {
    url: "/api/tasks",
    tag: "tasks",
    summary: "List tasks",
    description: `Open ones first, oldest on top, at most ${listLimit}. Support sees support's, a dealership its own, an administrator all; \`team\` and \`status\` narrow that down.`,
    search: z.strictObject({
      team: z.enum(taskTeams).optional().describe("Only this team's"),
      status: z.enum(taskStatuses).optional().describe("Only those that are so"),
    }),
    answer: z.object({ tasks: z.array(taskSchema) }),
    async run(db, { principal, search }) {
      const team = teamOf(principal);
      let query = db
        .selectFrom("tasks")
        .selectAll()
        // "open" sorts before "resolved".
        .orderBy("status")
        .orderBy("created_at")
        .orderBy("id")
        .limit(listLimit);
      if (team !== null) query = query.where("team", "=", team);
      if (principal.role === "sales") query = query.where("dealership_id", "=", principal.dealershipId);
      if (search.team !== undefined) query = query.where("team", "=", search.team);
      if (search.status !== undefined) query = query.where("status", "=", search.status);
      const rows = await query.execute();
      return {
        kind: "done",
        answer: {
          tasks: rows.map((row) => ({
            id: row.id,
            kind: row.kind,
            team: row.team,
            title: row.title,
            toDo: taskRow(row.kind)?.toDo ?? null,
            detail: { ...row.detail },
            status: row.status,
            expedienteId: row.expediente_id,
            vehicleId: row.vehicle_id,
            activationId: row.activation_id,
            createdAt: row.created_at.toISOString(),
            resolvedAt: row.resolved_at?.toISOString() ?? null,
            resolution: row.resolution,
          })),
        },
      };
    },
  });
  addCommand(routing, {
    url: "/api/tasks/:taskId/resolution",
    tag: "tasks",
    summary: "Resolve a task",
    refuses: ["notFound", "conflict"],
    params: z.strictObject({ taskId: z.uuid() }),
    body: z.strictObject({ resolution: lineOfText(2_000) }),
    status: 200,
    answer: z.object({ id: z.uuid(), status: z.literal("resolved"), resolvedAt: z.iso.datetime() }),
    async run(tx, { principal, params: { taskId }, body: { resolution } }) {
      const outcome = await resolveTask(context, tx, { taskId, resolution, principal });
      if (outcome.kind === "refused") return outcome;
      const { resolvedAt } = outcome;
      return {
        kind: "done",
        answer: { id: taskId, status: "resolved" as const, resolvedAt: resolvedAt.toISOString() },
      };
    },
  });
}
