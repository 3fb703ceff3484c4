import * as z from "zod";
import { refuse } from "../../http/refusal.ts";
import { addQuery, type Routing } from "../../http/routes.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { MaintenanceAnswer } from "../../partners/vss.ts";

export type Ask = (vin: string) => Promise<MaintenanceAnswer>;

const answerSchema = z.object({
  vehicleId: z.uuid(),
  checkedAt: z.iso.datetime(),
  maintenance: z.discriminatedUnion("status", [
    z.object({
      status: z.enum(["current", "overdue"]),
      nextDueOn: z.iso.date(),
      nextDueKm: z.int(),
      lastServiceOn: z.iso.date().nullable(),
    }),
    z.object({ status: z.literal("unknown") }),
    z.object({ status: z.literal("unavailable") }),
  ]),
});

/** `GET /api/vehicles/:vehicleId/maintenance`: what the workshops say at this moment. */
export function maintenanceRoutes(context: Context, ask: Ask, routing: Routing): void {
  addQuery(routing, {
    url: "/api/vehicles/:vehicleId/maintenance",
    tag: "maintenance",
    summary: "Read the maintenance status",
    refuses: ["conflict"],
    description: "Asked live; `unavailable` when the workshops' system is slow, down or talks nonsense.",
    params: z.strictObject({ vehicleId: z.uuid() }),
    answer: answerSchema,
    async run(db, { params: { vehicleId } }) {
      const { vin } = await db
        .selectFrom("vehicles")
        .select("vin")
        .where("id", "=", vehicleId)
        .executeTakeFirstOrThrow();
      if (vin === null) return refuse("conflict", "the vehicle has no VIN yet: it is not built");
      const maintenance = await ask(vin);
      return {
        kind: "done",
        answer: { vehicleId, checkedAt: context.clock.now().toISOString(), maintenance },
      };
    },
  });
}
