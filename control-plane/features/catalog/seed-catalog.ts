import type { Db } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { demoOptions, demoPlans, demoServices } from "./demo-catalog.ts";

/** Puts the demonstration catalogue into an empty database; what is there already is left as it is. */
export async function seedCatalog(db: Db): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx
      .insertInto("catalog_plans")
      .values(
        demoPlans.map((plan) => ({
          code: plan.code,
          name: plan.name,
          price_cents: plan.priceCents,
          reservation_cents: plan.reservationCents,
          configuration: JSON.stringify(plan.configuration),
          maintenance_months: plan.maintenanceMonths,
          maintenance_km: plan.maintenanceKm,
        })),
      )
      .onConflict((conflict) => conflict.column("code").doNothing())
      .execute();
    await tx
      .insertInto("catalog_options")
      .values(
        demoOptions.map((option) => ({
          code: option.code,
          name: option.name,
          price_cents: option.priceCents,
          configuration: JSON.stringify(option.configuration),
        })),
      )
      .onConflict((conflict) => conflict.column("code").doNothing())
      .execute();
    await tx
      .insertInto("catalog_services")
      .values(
        demoServices.map((service) => ({
          id: newId(),
          code: service.code,
          name: service.name,
          description: service.description,
          price_cents: service.priceCents,
          currency: "EUR",
          duration_days: service.durationDays,
          depends_on_maintenance: service.dependsOnMaintenance,
          configuration: JSON.stringify(service.configuration),
        })),
      )
      .onConflict((conflict) => conflict.column("code").doNothing())
      .execute();
  });
}
