import { type Selectable, sql } from "kysely";
import type { Transaction } from "./database.ts";
import { plainArray } from "./plain-array.ts";
import type { Database } from "./schema.ts";

export type LinkRow = Selectable<Database["vehicle_links"]>;
export type LinkRows = ReadonlyMap<string, LinkRow>;

/** Cars by what is known of them. */
export type Cars =
  | { vehicleIds: readonly string[] }
  | { vins: readonly string[] }
  | { activationIds: readonly string[] }
  | { entitlementIds: readonly string[] };

/**
 * Locks the link rows of cars. Everything that decides what a car must hold takes this lock first: requests, deadlines
 * and reports about one car come one after the other, and its versions are allocated in turn. Everywhere in the order of
 * their VINs, so that no two transactions wait for each other.
 *
 * @returns the rows by vehicle id, in that order; a car without a VIN has none
 */
export async function lockLinks(tx: Transaction, cars: Cars): Promise<LinkRows> {
  if (Object.values(cars).every((list) => list.length === 0)) return new Map();
  const rows = await tx
    .selectFrom("vehicle_links")
    .selectAll()
    .where(isOf(cars))
    .orderBy("vin")
    .forUpdate()
    .execute();
  return new Map(rows.map((row) => [row.vehicle_id, row]));
}

function isOf(cars: Cars) {
  if ("vins" in cars) return sql<boolean>`vin = any(${plainArray([...new Set(cars.vins)])}::text[])`;
  if ("vehicleIds" in cars) return sql<boolean>`vehicle_id = any(${plainArray(cars.vehicleIds)}::uuid[])`;
  return "activationIds" in cars
    ? sql<boolean>`vehicle_id in (
        select vehicle_id from activations where id = any(${plainArray(cars.activationIds)}::uuid[]))`
    : sql<boolean>`vehicle_id in (
        select vehicle_id from entitlements where id = any(${plainArray(cars.entitlementIds)}::uuid[]))`;
}
