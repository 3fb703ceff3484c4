import { type RawBuilder, sql } from "kysely";

/**
 * SQL for the id of a vehicle's newest sale, null when there is none: a car can be sold again, and what is said or
 * done about it belongs to its last sale. `vehicleId` is SQL too: a value, or another table's column.
 */
export function newestSaleOf(vehicleId: RawBuilder<unknown>): RawBuilder<string> {
  return sql<string>`(
    select id from expedientes where vehicle_id = ${vehicleId} order by created_at desc limit 1
  )`;
}
