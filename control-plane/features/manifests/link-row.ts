import type { Selectable } from "kysely";
import type { Transaction } from "../../store/database.ts";
import type { Database } from "../../store/schema.ts";

export type LinkRow = Selectable<Database["vehicle_links"]>;

/**
 * Locks a car's link row. Everything that changes what a car shall hold takes this lock first, so versions are
 * allocated one after another; batches take it in id order.
 *
 * @returns `undefined` while the car has no VIN yet.
 */
export async function lockLink(tx: Transaction, vehicleId: string): Promise<LinkRow | undefined> {
  return tx
    .selectFrom("vehicle_links")
    .selectAll()
    .where("vehicle_id", "=", vehicleId)
    .forUpdate()
    .executeTakeFirst();
}
