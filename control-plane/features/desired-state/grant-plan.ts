import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { newestSaleOf } from "../../store/newest-sale.ts";
import { want } from "./want.ts";

/** The code under which the base configuration is in every manifest. */
export const plataformaBase = "plataformaBase";

/**
 * What the customer bought with the car: `plataformaBase`, configured by the base of the plan comercial, and
 * its options, all for the car's life. Granting twice grants once.
 */
export async function grantPlan(context: Context, tx: Transaction, vehicleId: string): Promise<void> {
  const granted = await tx
    .selectFrom("entitlements")
    .select("id")
    .where("vehicle_id", "=", vehicleId)
    .where("source", "=", "plan")
    .where("ended_at", "is", null)
    .executeTakeFirst();
  if (granted !== undefined) return;
  const { plan_comercial: plan } = await tx
    .selectFrom("expedientes")
    .select("plan_comercial")
    .where("id", "=", newestSaleOf(sql`${vehicleId}`))
    .executeTakeFirstOrThrow(() => new Error(`no expediente for vehicle ${vehicleId}`));
  const base = await tx
    .selectFrom("catalog_plans")
    .select("configuration")
    .where("code", "=", plan.base.code)
    .executeTakeFirstOrThrow(() => new Error(`no plan ${plan.base.code} in the catalogue`));
  const codes = plan.options.map(({ code }) => code);
  const rows = await tx
    .selectFrom("catalog_options")
    .select(["code", "configuration"])
    .where(sql<boolean>`code = any(${codes}::text[])`)
    .execute();
  const configurationOf = new Map(rows.map((row) => [row.code, row.configuration]));
  const options = codes.map((code) => {
    const configuration = configurationOf.get(code);
    if (configuration === undefined) throw new Error(`no option ${code} in the catalogue`);
    return { code, configuration };
  });
  const all = [
    { code: plataformaBase, configuration: { plan: plan.base.code, ...base.configuration } },
    ...options,
  ];
  await want(
    context,
    tx,
    all.map((one) => ({ ...one, vehicleId, source: "plan" as const, durationSeconds: null })),
  );
}
