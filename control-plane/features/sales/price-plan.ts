import { type Refusal, refuse } from "../../http/refusal.ts";
import { computeFinalPayment, pricePlan } from "../../rules/pricing.ts";
import type { Transaction } from "../../store/database.ts";
import type { PlanComercial } from "../../store/schema.ts";

export type PlanChoice = { base: string; options: readonly string[] };

export type PricedPlan = {
  kind: "priced";
  planComercial: PlanComercial;
  priceCents: number;
  reservationCents: number;
};

/** Turns the chosen codes into the plan comercial with the catalogue's prices of today. */
export async function pricePlanChoice(tx: Transaction, choice: PlanChoice): Promise<PricedPlan | Refusal> {
  const base = await tx
    .selectFrom("catalog_plans")
    .where("code", "=", choice.base)
    .select(["code", "name", "price_cents", "reservation_cents"])
    .executeTakeFirst();
  if (base === undefined)
    return refuse("unknownChoice", `there is no plan ${choice.base}`, { field: "body.planComercial.base" });

  const found =
    choice.options.length === 0
      ? []
      : await tx
          .selectFrom("catalog_options")
          .where("code", "in", [...choice.options])
          .select(["code", "name", "price_cents"])
          .execute();
  const byCode = new Map(found.map((option) => [option.code, option]));
  const options: { code: string; name: string; priceCents: number }[] = [];
  for (const [index, code] of choice.options.entries()) {
    const field = `body.planComercial.options.${index}`;
    const option = byCode.get(code);
    if (option === undefined) return refuse("unknownChoice", `there is no option ${code}`, { field });
    if (choice.options.indexOf(code) !== index)
      return refuse("unknownChoice", `the option ${code} is chosen twice`, { field });
    options.push({ code, name: option.name, priceCents: option.price_cents });
  }

  const price = pricePlan({
    basePriceCents: base.price_cents,
    optionPricesCents: options.map((option) => option.priceCents),
  });
  if (price.kind === "refused") throw new Error(`plan ${base.code} cannot be priced: ${price.message}`);
  const rest = computeFinalPayment(price.priceCents, base.reservation_cents);
  if (rest.kind === "refused") throw new Error(`plan ${base.code} cannot be reserved: ${rest.message}`);
  return {
    kind: "priced",
    planComercial: {
      base: { code: base.code, name: base.name, priceCents: base.price_cents },
      options,
    },
    priceCents: price.priceCents,
    reservationCents: base.reservation_cents,
  };
}
