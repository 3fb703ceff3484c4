import type { Selectable } from "kysely";
import type { Matter } from "../../lifecycle/partner-requests.ts";
import type { Reader, Transaction } from "../../store/database.ts";
import type { Database } from "../../store/schema.ts";

export type Order = Selectable<Database["orders"]>;

/** Whatever an order hears from the factory waits for the order's row, then for the vehicle's. */
export async function lockOrder(tx: Transaction, orderId: string): Promise<Order> {
  return tx
    .selectFrom("orders")
    .where("id", "=", orderId)
    .selectAll()
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow(() => new Error(`no order ${orderId}`));
}

/** The sale that an order of ours belongs to. */
export async function findSaleOfOrder(
  tx: Transaction,
  reference: string,
): Promise<{ expedienteId: string; vehicleId: string } | null> {
  const row = await tx
    .selectFrom("orders")
    .where("reference", "=", reference)
    .select(["expediente_id as expedienteId", "vehicle_id as vehicleId"])
    .executeTakeFirst();
  return row ?? null;
}

export async function lockOrderByReference(tx: Transaction, reference: string): Promise<Order | undefined> {
  return tx
    .selectFrom("orders")
    .where("reference", "=", reference)
    .selectAll()
    .forNoKeyUpdate()
    .executeTakeFirst();
}

/** What the factory is asked about, for an order of ours. */
export function matterOf(order: Pick<Order, "id" | "reference" | "expediente_id" | "vehicle_id">): Matter {
  const { id, reference, expediente_id: expedienteId, vehicle_id: vehicleId } = order;
  return { partner: "factory", id, reference, subject: { expedienteId, vehicleId } };
}

export async function readOrder(db: Reader, orderId: string): Promise<Order> {
  return db
    .selectFrom("orders")
    .where("id", "=", orderId)
    .selectAll()
    .executeTakeFirstOrThrow(() => new Error(`no order ${orderId}`));
}

export function hasMoved(before: Order, after: Order): boolean {
  const stand = ({ status, vin, progress_percent, milestone }: Order) =>
    JSON.stringify([status, vin, progress_percent, milestone]);
  return stand(before) !== stand(after);
}
