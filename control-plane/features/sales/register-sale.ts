import type { Insertable } from "kysely";
import { type Refusal, refuse } from "../../http/refusal.ts";
import type { Actor } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import type { Address, Database } from "../../store/schema.ts";
import { makeExpedienteReference } from "./expediente-reference.ts";
import { type PlanChoice, pricePlanChoice } from "./price-plan.ts";

export type NewSale = {
  /** `email` in lower case, `phone` in E.164. */
  customer: { name: string; email: string; phone: string; address: Address };
  plan: PlanChoice;
  soldBy: { userId: string; dealershipId: string };
};

export type RegisteredSale = {
  kind: "registered";
  expedienteId: string;
  /** Facts the employee should know and the request did not contain. */
  notes: readonly string[];
};

/** The business sells in one currency. */
const currency = "EUR";

/** A dealership employee enters a sale (AU1): customer, plan comercial, and a vehicle that is only an id so far. */
export async function registerSale(
  context: Context,
  tx: Transaction,
  sale: NewSale,
): Promise<RegisteredSale | Refusal> {
  const plan = await pricePlanChoice(tx, sale.plan);
  if (plan.kind === "refused") return plan;
  const now = context.clock.now();
  const customer = await findOrAddCustomer(tx, sale.customer, now);
  if (customer.kind === "refused") return customer;

  const vehicleId = newId();
  await tx
    .insertInto("vehicles")
    .values({
      id: vehicleId,
      vin: null,
      state: "start",
      owner_customer_id: null,
      app_linked_at: null,
      created_at: now,
    })
    .execute();
  const { id: expedienteId, reference } = await insertExpediente(context, tx, {
    customer_id: customer.id,
    dealership_id: sale.soldBy.dealershipId,
    vehicle_id: vehicleId,
    sold_by: sale.soldBy.userId,
    plan_comercial: JSON.stringify(plan.planComercial),
    price_cents: plan.priceCents,
    reservation_cents: plan.reservationCents,
    currency,
    created_at: now,
  });
  const actor: Actor = { kind: "staff", id: sale.soldBy.userId };
  await recordSteps(tx, [
    {
      expedienteId,
      vehicleId,
      event: "saleRegistered",
      automation: "AU1",
      actor,
      at: now,
      detail: {
        reference,
        base: plan.planComercial.base.code,
        options: plan.planComercial.options.map((option) => option.code),
        priceCents: plan.priceCents,
      },
    },
  ]);
  await context.publish(tx, "saleRegistered", [{ expedienteId, actor }]);
  return { kind: "registered", expedienteId, notes: customer.notes };
}

type Customer = { kind: "customer"; id: string; notes: readonly string[] };

/** One customer per e-mail address; a later sale does not overwrite the stored data of a known customer. */
async function findOrAddCustomer(
  tx: Transaction,
  given: NewSale["customer"],
  now: Date,
): Promise<Customer | Refusal> {
  const staff = await tx
    .selectFrom("auth_users")
    .where("email", "=", given.email)
    .where("role", "<>", "customer")
    .select("id")
    .executeTakeFirst();
  if (staff !== undefined)
    return refuse("conflict", "this e-mail address signs in as an employee; a customer needs their own", {
      field: "body.customer.email",
    });
  const id = newId();
  const added = await tx
    .insertInto("customers")
    .values({ id, ...given, address: JSON.stringify(given.address), created_at: now })
    .onConflict((conflict) => conflict.column("email").doNothing())
    .executeTakeFirst();
  if (added.numInsertedOrUpdatedRows === 1n) return { kind: "customer", id, notes: [] };
  const stored = await tx
    .selectFrom("customers")
    .where("email", "=", given.email)
    .select(["id", "name", "phone", "address"])
    .executeTakeFirstOrThrow();
  const differing = [
    stored.name === given.name ? null : "name",
    stored.phone === given.phone ? null : "phone",
    isSameAddress(stored.address, given.address) ? null : "address",
  ].filter((field) => field !== null);
  const known = "the customer is known by this e-mail address and keeps the account";
  const notes =
    differing.length === 0
      ? [known]
      : [known, `the stored ${differing.join(", ")} differ from the ones given and were kept`];
  return { kind: "customer", id: stored.id, notes };
}

function isSameAddress(stored: Address, given: Address): boolean {
  return (
    stored.street === given.street &&
    stored.city === given.city &&
    stored.postalCode === given.postalCode &&
    stored.country === given.country
  );
}

/** Chance decides the reference, so another may have it already: then it is drawn again. */
async function insertExpediente(
  context: Context,
  tx: Transaction,
  values: Omit<Insertable<Database["expedientes"]>, "id" | "reference"> & { created_at: Date },
): Promise<{ id: string; reference: string }> {
  for (;;) {
    const id = newId();
    const reference = makeExpedienteReference(values.created_at, context.random);
    const inserted = await tx
      .insertInto("expedientes")
      .values({ ...values, id, reference })
      .onConflict((conflict) => conflict.column("reference").doNothing())
      .executeTakeFirst();
    if (inserted.numInsertedOrUpdatedRows === 1n) return { id, reference };
  }
}
