import { type Kysely, sql } from "kysely";

// What a change of a car costs in rows, indexes and checks, when hundreds of thousands of cars are changed at once
// (docs/adr/0026-what-a-roll-out-costs.md).

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- These rows are written only under the lock of the car's link row, which itself refers to the vehicle, and no
    -- vehicle is ever deleted. Checking each of them again was the largest part of writing them.
    alter table manifests drop constraint manifests_vehicle_id_fkey;
    alter table manifest_dispatches drop constraint manifest_dispatches_vehicle_id_fkey;
    alter table entitlements drop constraint entitlements_vehicle_id_fkey;

    -- A former version stays when it carried a purchase (DA15: what was pushed). What others held is in the
    -- entitlements, and their hashes in the signed reports.
    delete from manifests former where activation_id is null and exists (
      select from manifests newer where newer.vehicle_id = former.vehicle_id and newer.version > former.version
    );

    -- Room in each page for the next version of its rows: they are written over in their places.
    alter table manifests set (fillfactor = 50);
    alter table entitlements set (fillfactor = 60);

    -- Rows that come and go by the thousand in a small table.
    alter table manifest_dispatches set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

    -- By a column that only the last change of an entitlement touches: the others need no index entry of their own.
    -- Who looks for what a car holds must therefore ask for "ended_at is null".
    create index on entitlements (vehicle_id) where ended_at is null;
    drop index entitlements_vehicle_id_idx;

    -- A step is about one or two of the three.
    drop index steps_expediente_id_id_idx;
    drop index steps_vehicle_id_id_idx;
    drop index steps_activation_id_id_idx;
    create index on steps (expediente_id, id) where expediente_id is not null;
    create index on steps (vehicle_id, id) where vehicle_id is not null;
    create index on steps (activation_id, id) where activation_id is not null;

    -- As contract/report-proof.ts packs it; a first byte of 0 is the token's text.
    alter table plan_proofs alter column report type bytea using '\\x00'::bytea || convert_to(report, 'UTF8');
  `.execute(db);
}
