import type { Selectable } from "kysely";
import type { Transaction } from "../../store/database.ts";
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
