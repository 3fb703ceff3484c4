import { type RawBuilder, sql } from "kysely";
import type { Db } from "../store/database.ts";
import { groupCommit } from "../store/group-commit.ts";
import type { Relation } from "./access-table.ts";
import type { Principal } from "./principal.ts";

/** The owners of a thing. */
type Belonging = { id: string; customer_id: string | null; dealership_id: string | null };

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The sale that a vehicle is in, or was delivered by. */
const saleOf = (vehicleId: RawBuilder<unknown>) => sql`
  lateral (
    select customer_id, dealership_id from expedientes
    where vehicle_id = ${vehicleId} and status in ('open', 'completed') order by created_at desc limit 1
  ) as sale on true`;

/** The things a path parameter may name, each with the statement that finds its owners. */
const belongings: Readonly<Record<string, RawBuilder<unknown>>> = {
  expedienteId: sql`select id, customer_id, dealership_id from expedientes`,
  // Before delivery a car belongs to its buyer, afterwards to its current owner.
  vehicleId: sql`
    select vehicle.id, coalesce(vehicle.owner_customer_id, sale.customer_id) as customer_id, sale.dealership_id
    from vehicles as vehicle left join ${saleOf(sql`vehicle.id`)}`,
  // Customers keep seeing what they bought, even after the car has changed hands.
  activationId: sql`
    select activation.id, activation.customer_id, sale.dealership_id
    from activations as activation left join ${saleOf(sql`activation.vehicle_id`)}`,
  paymentId: sql`
    select payment.id, payment.customer_id, coalesce(expediente.dealership_id, sale.dealership_id) as dealership_id
    from payments as payment
    left join expedientes as expediente on expediente.id = payment.expediente_id
    left join activations as activation on activation.id = payment.activation_id
    left join ${saleOf(sql`activation.vehicle_id`)}`,
  orderId: sql`
    select orders.id, expediente.customer_id, expediente.dealership_id
    from orders join expedientes as expediente on expediente.id = orders.expediente_id`,
  taskId: sql`select id, null::uuid as customer_id, dealership_id from tasks`,
};

/** In the order asked for; `undefined` where there is no such thing. */
async function findBelongings(
  db: Db,
  statement: RawBuilder<unknown>,
  ids: readonly string[],
): Promise<(Belonging | undefined)[]> {
  const { rows } = await sql<Belonging>`
    select * from (${statement}) as belonging where id = any(${[...ids]}::uuid[])`.execute(db);
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.map((id) => byId.get(id));
}

function isRelated(principal: Principal, relation: Relation, belonging: Belonging): boolean {
  switch (relation) {
    case "any":
      return true;
    case "own":
      return principal.kind === "customer" && belonging.customer_id === principal.customerId;
    case "dealership":
      return principal.role === "sales" && belonging.dealership_id === principal.dealershipId;
  }
}

export type CheckRelation = (
  principal: Principal,
  relation: Relation,
  parameters: Readonly<Record<string, string>>,
) => Promise<boolean>;

/** Whether everything a path names exists and has `relation` to the principal. Requests that arrive together share a statement. */
export function createRelationCheck(db: Db): CheckRelation {
  const find = new Map(
    Object.entries(belongings).map(([name, statement]) => [
      name,
      groupCommit((ids: readonly string[]) => findBelongings(db, statement, ids), { rounds: 2 }),
    ]),
  );
  return async (principal, relation, parameters) => {
    for (const [name, id] of Object.entries(parameters)) {
      const findOne = find.get(name);
      // A new kind of thing in a path must not pass unchecked.
      if (findOne === undefined && name.endsWith("Id"))
        throw new Error(`no relation is known for the path parameter ${name}`);
      if (findOne === undefined) continue;
      const belonging = uuid.test(id) ? await findOne(id) : undefined;
      if (belonging === undefined || !isRelated(principal, relation, belonging)) return false;
    }
    return true;
  };
}
