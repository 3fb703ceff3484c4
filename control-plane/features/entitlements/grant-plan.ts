import type { Transaction } from "../../store/database.ts";
import type { Wanted } from "./wanted.ts";

/** The code under which the base configuration stands in every manifest. */
export const plataformaBase = "plataformaBase";

/**
 * What the customer bought with the car: `plataformaBase`, configured by the base of the plan comercial, and
 * its options, all for the car's life. Granting twice grants once.
 */
export async function grantPlan(
  tx: Transaction,
  vehicleId: string,
  want: (wanted: Wanted) => Promise<string>,
): Promise<number> {
  const granted = await tx
    .selectFrom("entitlements")
    .select("id")
    .where("vehicle_id", "=", vehicleId)
    .where("source", "=", "plan")
    .where("ended_at", "is", null)
    .executeTakeFirst();
  if (granted !== undefined) return 0;
  const { plan_comercial: plan } = await tx
    .selectFrom("expedientes")
    .select("plan_comercial")
    .where("vehicle_id", "=", vehicleId)
    .orderBy("created_at", "desc")
    .limit(1)
    .executeTakeFirstOrThrow(() => new Error(`no expediente for vehicle ${vehicleId}`));
  const base = await tx
    .selectFrom("catalog_plans")
    .select("configuration")
    .where("code", "=", plan.base.code)
    .executeTakeFirstOrThrow(() => new Error(`no plan ${plan.base.code} in the catalogue`));
  await want({
    vehicleId,
    source: "plan",
    code: plataformaBase,
    configuration: { plan: plan.base.code, ...base.configuration },
    durationSeconds: null,
  });
  for (const option of plan.options) {
    const { configuration } = await tx
      .selectFrom("catalog_options")
      .select("configuration")
      .where("code", "=", option.code)
      .executeTakeFirstOrThrow(() => new Error(`no option ${option.code} in the catalogue`));
    await want({ vehicleId, source: "plan", code: option.code, configuration, durationSeconds: null });
  }
  return 1 + plan.options.length;
}
