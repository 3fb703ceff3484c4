import * as z from "zod";
import type { Capability } from "../../lifecycle/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { EventHandler } from "../../lifecycle/events.ts";
import type { Vss } from "../../partners/vss.ts";
import { passFailpoint } from "../../store/failpoints.ts";
import { enqueue, handleJob, jobType } from "../../store/jobs.ts";
import { askTimed, type Observe } from "./ask-timed.ts";
import { registerPlan } from "./register-plan.ts";
import { maintenanceRoutes } from "./routes.ts";

const checkMaintenanceJob = jobType(
  "checkMaintenance",
  z.object({ activationId: z.uuid(), vehicleId: z.uuid() }),
);
const registerMaintenancePlanJob = jobType("registerMaintenancePlan", z.object({ vehicleId: z.uuid() }));

export type Maintenance = Capability & {
  onMaintenanceCheckRequested: EventHandler<"maintenanceCheckRequested">;
  /** A delivered car becomes known to the workshops, with the plan it was sold with. */
  onVehicleMoved: EventHandler<"vehicleMoved">;
};

/** The workshops' word on a car: registered at delivery, asked before a service is sold, shown when asked. */
export function createMaintenance(
  context: Context,
  partners: { vss: Vss },
  options: { observe?: Observe } = {},
): Maintenance {
  const ask = askTimed(context.realClock, partners.vss, options.observe);
  return {
    addRoutes: (routing) => maintenanceRoutes(context, ask, routing),
    jobs: [
      handleJob(checkMaintenanceJob, async ({ activationId, vehicleId }) => {
        const { vin } = await context.db
          .selectFrom("vehicles")
          .select("vin")
          .where("id", "=", vehicleId)
          .executeTakeFirstOrThrow(() => new Error(`no vehicle ${vehicleId}`));
        // Fail-safe (FA11): silence is an answer too, so the customer is never left waiting for a retry.
        const { status } = vin === null ? { status: "unknown" as const } : await ask(vin);
        passFailpoint("maintenance-answered-before-recorded");
        await context.db
          .transaction()
          .execute((tx) => context.publish(tx, "maintenanceChecked", { activationId, status }));
      }),
      handleJob(registerMaintenancePlanJob, ({ vehicleId }) =>
        registerPlan(context, partners.vss, vehicleId),
      ),
    ],
    onMaintenanceCheckRequested: (tx, { activationId, vehicleId }) =>
      enqueue(tx, checkMaintenanceJob, { activationId, vehicleId }),
    async onVehicleMoved(tx, { vehicleId, to }) {
      if (to === "Delivered") await enqueue(tx, registerMaintenancePlanJob, { vehicleId });
    },
  };
}
