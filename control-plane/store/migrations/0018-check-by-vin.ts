import { type Kysely, sql } from "kysely";

// A maintenance check carries the VIN it asks about, so that no statement reads it. Checks that wait get theirs.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    update jobs set payload = payload || jsonb_build_object('vin', vehicle.vin)
    from vehicles as vehicle
    where jobs.kind = 'checkMaintenance' and vehicle.id = (jobs.payload ->> 'vehicleId')::uuid
  `.execute(db);
}
