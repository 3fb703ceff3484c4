import { businessDay } from "@caas/contract/business-day.ts";
import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Vss } from "../../partners/vss.ts";
import { newestSaleOf } from "../../store/newest-sale.ts";

/**
 * Tells the workshops about a delivered car: from when, and how often it is due (LF13). Repeating it changes
 * nothing. @throws when the workshops cannot be told yet, so that the job is tried again.
 */
export async function registerPlan(
  context: Context,
  vss: Vss,
  vehicleId: string,
  timeZone: string,
): Promise<void> {
  const row = await context.db
    .selectFrom("expedientes")
    .innerJoin("vehicles", "vehicles.id", "expedientes.vehicle_id")
    .where("expedientes.id", "=", newestSaleOf(sql`${vehicleId}`))
    .where("expedientes.status", "=", "completed")
    .select(["vehicles.vin", "expedientes.plan_comercial", "expedientes.delivery"])
    .executeTakeFirstOrThrow(() => new Error(`vehicle ${vehicleId} has no completed expediente`));
  if (row.vin === null || row.delivery === null)
    throw new Error(`vehicle ${vehicleId} is delivered without a VIN or a delivery record`);
  const plan = await context.db
    .selectFrom("catalog_plans")
    .select(["maintenance_months", "maintenance_km"])
    .where("code", "=", row.plan_comercial.base.code)
    .executeTakeFirstOrThrow(() => new Error(`no plan ${row.plan_comercial.base.code} in the catalogue`));
  const outcome = await vss.registerPlan(row.vin, {
    // Maintenance counts from the day the car is in use.
    soldOn: businessDay(new Date(row.delivery.at), timeZone),
    planMonths: plan.maintenance_months,
    planKm: plan.maintenance_km,
  });
  if (outcome === "refused") throw new Error(`the workshops refused the maintenance plan of ${vehicleId}`);
}
