import type { Db } from "../../store/database.ts";
import type { PlanLine } from "../../store/schema.ts";

export async function readPlans(db: Db): Promise<{
  currency: string;
  plans: (PlanLine & { reservationCents: number })[];
  options: PlanLine[];
}> {
  const plans = await db.selectFrom("catalog_plans").selectAll().orderBy("price_cents").execute();
  const options = await db.selectFrom("catalog_options").selectAll().orderBy("code").execute();
  return {
    currency: "EUR",
    plans: plans.map((plan) => ({
      code: plan.code,
      name: plan.name,
      priceCents: plan.price_cents,
      reservationCents: plan.reservation_cents,
    })),
    options: options.map((option) => ({
      code: option.code,
      name: option.name,
      priceCents: option.price_cents,
    })),
  };
}
