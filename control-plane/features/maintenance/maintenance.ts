import type { Clock } from "@caas/contract/business-clock.ts";
import type { Capability } from "../../http/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type DomainEvents, type EventHandler, each } from "../../lifecycle/events.ts";
import type { MaintenanceAnswer, Vss } from "../../partners/vss.ts";
import { passFailpoint } from "../../store/failpoints.ts";
import { groupCommit } from "../../store/group-commit.ts";
import { enqueue, handleJob } from "../../store/jobs.ts";
import { checkMaintenanceJob, registerMaintenancePlanJob } from "./jobs.ts";
import { registerPlan } from "./register-plan.ts";
import { type Ask, maintenanceRoutes } from "./routes.ts";

type Observe = (ms: number, status: MaintenanceAnswer["status"]) => void;

export type Maintenance = Capability & {
  onMaintenanceCheckRequested: EventHandler<"maintenanceCheckRequested">;
  /** A delivered car becomes known to the workshops, with the plan it was sold with. */
  onVehicleMoved: EventHandler<"vehicleMoved">;
};

/** The workshops' word on a car: registered at delivery, asked before a service is sold, shown when asked. */
export function createMaintenance(
  context: Context,
  partners: { vss: Vss },
  { observe = () => undefined }: { observe?: Observe } = {},
): Maintenance {
  const ask = askTimed(context.realClock, partners.vss, observe);
  // Each car is a question of its own, so that a slow answer delays no other; answers are recorded in batches.
  const record = groupCommit(async (checks: readonly DomainEvents["maintenanceChecked"][]) => {
    await context.db.transaction().execute((tx) => context.publish(tx, "maintenanceChecked", checks));
    return checks.map(() => undefined);
  });
  return {
    addRoutes: (routing) => maintenanceRoutes(context, ask, routing),
    jobs: [
      handleJob(checkMaintenanceJob, async ({ activationId, vin }) => {
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
        asked.map((payload) => ({ payload })),
      ),
    onVehicleMoved: each(async (tx, { vehicleId, to }) => {
      if (to === "Delivered") await enqueue(tx, registerMaintenancePlanJob, [{ payload: { vehicleId } }]);
    }),
  };
}

/** Asks the workshops, and tells `observe` how long their answer took in real time (ME10: under 2 s). */
function askTimed(realClock: Clock, vss: Vss, observe: Observe): Ask {
  return async (vin) => {
    const startedAt = realClock.now().getTime();
    const answer = await vss.askMaintenance(vin);
    observe(realClock.now().getTime() - startedAt, answer.status);
    return answer;
  };
}
