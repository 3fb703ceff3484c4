import { sql } from "kysely";
import * as z from "zod";
import type { Capability } from "../../http/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type DomainEvents, type EventHandler, each } from "../../lifecycle/events.ts";
import type { Vss } from "../../partners/vss.ts";
import type { Db } from "../../store/database.ts";
import { passFailpoint } from "../../store/failpoints.ts";
import { groupCommit } from "../../store/group-commit.ts";
import { enqueue, handleJob, jobType, perPurchase } from "../../store/jobs.ts";
import { askTimed, type Observe } from "./ask-timed.ts";
import { registerPlan } from "./register-plan.ts";
import { maintenanceRoutes } from "./routes.ts";

const checkMaintenanceJob = jobType(
  "checkMaintenance",
  z.object({ activationId: z.uuid(), vehicleId: z.uuid() }),
  perPurchase,
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
  // Questions go out one by one, and slow ones keep nobody waiting; what is read and written for them goes together.
  const readVin = groupCommit((vehicleIds: readonly string[]) => readVins(context.db, vehicleIds));
  const record = groupCommit(async (checks: readonly DomainEvents["maintenanceChecked"][]) => {
    await context.db.transaction().execute((tx) => context.publish(tx, "maintenanceChecked", checks));
    return checks.map(() => undefined);
  });
  return {
    addRoutes: (routing) => maintenanceRoutes(context, ask, routing),
    jobs: [
      handleJob(checkMaintenanceJob, async ({ activationId, vehicleId }) => {
        const vin = await readVin(vehicleId);
        // Fail-safe (FA11): silence is an answer too, so the customer is never left waiting for a retry.
        const { status } = vin === null ? { status: "unknown" as const } : await ask(vin);
        passFailpoint("maintenance-answered-before-recorded");
        await record({ activationId, status });
      }),
      handleJob(registerMaintenancePlanJob, ({ vehicleId }) =>
        registerPlan(context, partners.vss, vehicleId),
      ),
    ],
    onMaintenanceCheckRequested: (tx, asked) =>
      enqueue(
        tx,
        checkMaintenanceJob,
        asked.map(({ activationId, vehicleId }) => ({ payload: { activationId, vehicleId } })),
      ),
    onVehicleMoved: each(async (tx, { vehicleId, to }) => {
      if (to === "Delivered") await enqueue(tx, registerMaintenancePlanJob, [{ payload: { vehicleId } }]);
    }),
  };
}

async function readVins(db: Db, vehicleIds: readonly string[]): Promise<(string | null)[]> {
  const rows = await db
    .selectFrom("vehicles")
    .select(["id", "vin"])
    .where(sql<boolean>`id = any(${[...vehicleIds]}::uuid[])`)
    .execute();
  const byId = new Map(rows.map(({ id, vin }) => [id, vin]));
  return vehicleIds.map((id) => {
    const vin = byId.get(id);
    if (vin === undefined) throw new Error(`no vehicle ${id}`);
    return vin;
  });
}
