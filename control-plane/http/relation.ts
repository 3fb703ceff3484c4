import { sql } from "kysely";
import type { Db } from "../store/database.ts";
import { groupCommit } from "../store/group-commit.ts";
import type { Relation } from "./access-table.ts";
import type { Principal } from "./principal.ts";

/** The owners of the thing in a path. */
type Belonging = { customerId: string | null; dealershipId: string | null };

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

async function ofExpediente(db: Db, id: string): Promise<Belonging | undefined> {
  return db
    .selectFrom("expedientes")
    .where("id", "=", id)
    .select(["customer_id as customerId", "dealership_id as dealershipId"])
    .executeTakeFirst();
}

/** Before delivery a car belongs to its buyer, afterwards to its current owner. In the order asked for. */
async function ofVehicles(db: Db, ids: readonly string[]): Promise<(Belonging | undefined)[]> {
  const { rows } = await sql<{ id: string; customer_id: string | null; dealership_id: string | null }>`
    select vehicle.id, coalesce(vehicle.owner_customer_id, sale.customer_id) as customer_id, sale.dealership_id
    from vehicles as vehicle
    left join lateral (
      select customer_id, dealership_id from expedientes
      where vehicle_id = vehicle.id and status in ('open', 'completed') order by created_at desc limit 1
    ) as sale on true
    where vehicle.id = any(${[...ids]}::uuid[])`.execute(db);
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.map((id) => {
    const row = byId.get(id);
    return row && { customerId: row.customer_id, dealershipId: row.dealership_id };
  });
}

/** Requests that arrive together share a statement. */
const vehicleQuestions = new WeakMap<Db, (id: string) => Promise<Belonging | undefined>>();

function ofVehicle(db: Db, id: string): Promise<Belonging | undefined> {
  const ask =
    vehicleQuestions.get(db) ?? groupCommit((ids: readonly string[]) => ofVehicles(db, ids), { rounds: 2 });
  vehicleQuestions.set(db, ask);
  return ask(id);
}

/** Customers keep seeing what they bought, even after the car has changed hands. */
async function ofActivation(db: Db, id: string): Promise<Belonging | undefined> {
  const row = await db
    .selectFrom("activations")
    .where("id", "=", id)
    .select(["customer_id", "vehicle_id"])
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const vehicle = await ofVehicle(db, row.vehicle_id);
  return { customerId: row.customer_id, dealershipId: vehicle?.dealershipId ?? null };
}

async function ofPayment(db: Db, id: string): Promise<Belonging | undefined> {
  const row = await db
    .selectFrom("payments")
    .where("id", "=", id)
    .select(["customer_id", "expediente_id", "activation_id"])
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const about =
    row.expediente_id !== null
      ? await ofExpediente(db, row.expediente_id)
      : row.activation_id !== null
        ? await ofActivation(db, row.activation_id)
        : undefined;
  return { customerId: row.customer_id, dealershipId: about?.dealershipId ?? null };
}

async function ofOrder(db: Db, id: string): Promise<Belonging | undefined> {
  return db
    .selectFrom("orders")
    .innerJoin("expedientes", "expedientes.id", "orders.expediente_id")
    .where("orders.id", "=", id)
    .select(["expedientes.customer_id as customerId", "expedientes.dealership_id as dealershipId"])
    .executeTakeFirst();
}

async function ofTask(db: Db, id: string): Promise<Belonging | undefined> {
  const row = await db.selectFrom("tasks").where("id", "=", id).select("dealership_id").executeTakeFirst();
  return row && { customerId: null, dealershipId: row.dealership_id };
}

const belongingOf: Readonly<Record<string, (db: Db, id: string) => Promise<Belonging | undefined>>> = {
  expedienteId: ofExpediente,
  vehicleId: ofVehicle,
  activationId: ofActivation,
  paymentId: ofPayment,
  orderId: ofOrder,
  taskId: ofTask,
};

/** The names a path parameter may have, each with a way to find its owners. */
export const relatedParameters: ReadonlySet<string> = new Set(Object.keys(belongingOf));

/** Whether everything the path names exists and has `relation` to the principal. */
export async function isRelated(
  db: Db,
  principal: Principal,
  relation: Relation,
  parameters: Readonly<Record<string, string>>,
): Promise<boolean> {
  for (const [name, id] of Object.entries(parameters)) {
    const find = belongingOf[name];
    if (find === undefined) throw new Error(`no relation is known for the path parameter ${name}`);
    const belonging = uuid.test(id) ? await find(db, id) : undefined;
    if (belonging === undefined) return false;
    switch (relation) {
      case "any":
        break;
      case "own":
        if (principal.kind !== "customer" || belonging.customerId !== principal.customerId) return false;
        break;
      case "dealership":
        if (principal.role !== "sales" || belonging.dealershipId !== principal.dealershipId) return false;
        break;
    }
  }
  return true;
}
