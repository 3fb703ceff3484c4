import type { Insertable } from "kysely";
import { describeAddress } from "../../http/contact-fields.ts";
import { type Refusal, refuse } from "../../http/refusal.ts";
import type { Actor } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import type { Buyer, Database } from "../../store/schema.ts";
import { makeExpedienteReference } from "./expediente-reference.ts";
import { type PlanChoice, pricePlanChoice } from "./price-plan.ts";

export type NewSale = {
  /** In lower case: the customer's account. */
  email: string;
  buyer: Buyer;
  plan: PlanChoice;
  /** The dealership's calendar day. */
  soldOn: string;
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
  const customer = await findOrAddCustomer(tx, sale, now);
  if (customer.kind === "refused") return customer;

  const notes = await compareWithEarlier(tx, customer.id, sale);
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
  const { id: expedienteId, reference } = await insertExpediente(context, tx, sale.soldOn, {
    customer_id: customer.id,
    dealership_id: sale.soldBy.dealershipId,
    vehicle_id: vehicleId,
    sold_by: sale.soldBy.userId,
    buyer: JSON.stringify(sale.buyer),
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
  return { kind: "registered", expedienteId, notes };
}

type Customer = { kind: "customer"; id: string };

/**
 * One customer, and one account, per e-mail address. A later sale changes nothing of it and is told nothing about it:
 * name, telephone and address are the sale's own.
 */
async function findOrAddCustomer(
  tx: Transaction,
  { email, buyer }: Pick<NewSale, "email" | "buyer">,
  now: Date,
): Promise<Customer | Refusal> {
  const staff = await tx
    .selectFrom("auth_users")
    .where("email", "=", email)
    .where("role", "<>", "customer")
    .select("id")
    .executeTakeFirst();
  if (staff !== undefined)
    return refuse("conflict", "this e-mail address signs in as an employee; a customer needs their own", {
      field: "body.customer.email",
    });
  const { name, phone, address } = buyer;
  await tx
    .insertInto("customers")
    .values({ id: newId(), name, email, phone, address: JSON.stringify(address), created_at: now })
    .onConflict((conflict) => conflict.column("email").doNothing())
    .execute();
  const { id } = await tx
    .selectFrom("customers")
    .where("email", "=", email)
    .select("id")
    .executeTakeFirstOrThrow();
  return { kind: "customer", id };
}

/** What differs from the same dealership's last sale to this customer: of other dealerships' sales nothing is told. */
async function compareWithEarlier(tx: Transaction, customerId: string, sale: NewSale): Promise<string[]> {
  const earlier = await tx
    .selectFrom("expedientes")
    .where("customer_id", "=", customerId)
    .where("dealership_id", "=", sale.soldBy.dealershipId)
    .orderBy("id", "desc")
    .limit(1)
    .select(["reference", "buyer"])
    .executeTakeFirst();
  if (earlier === undefined) return [];
  const { reference, buyer } = earlier;
  const differing = [
    buyer.name === sale.buyer.name ? null : "name",
    documentOf(buyer) === documentOf(sale.buyer) ? null : "identity document",
    buyer.phone === sale.buyer.phone ? null : "telephone number",
    describeAddress(buyer.address) === describeAddress(sale.buyer.address) ? null : "address",
  ].filter((field) => field !== null);
  if (differing.length === 0) return [];
  return [
    `${reference} was sold to the same e-mail address with another ${differing.join(", ")}; each sale keeps its own`,
  ];
}

function documentOf({ identityDocument }: Buyer): string {
  if (identityDocument === null) return "none";
  const { kind, number } = identityDocument;
  return [kind, number, "country" in identityDocument ? identityDocument.country : ""].join(" ");
}

/** Chance decides the reference, so another may have it already: then it is drawn again. */
async function insertExpediente(
  context: Context,
  tx: Transaction,
  soldOn: string,
  values: Omit<Insertable<Database["expedientes"]>, "id" | "reference"> & { created_at: Date },
): Promise<{ id: string; reference: string }> {
  for (;;) {
    const id = newId();
    const reference = makeExpedienteReference(soldOn, context.random);
    const inserted = await tx
      .insertInto("expedientes")
      .values({ ...values, id, reference })
      .onConflict((conflict) => conflict.column("reference").doNothing())
      .executeTakeFirst();
    if (inserted.numInsertedOrUpdatedRows === 1n) return { id, reference };
  }
}
