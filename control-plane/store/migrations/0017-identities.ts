import { type Kysely, sql } from "kysely";

// What tells one memory of a car from another, a car's enrolment package after the first, and the root that cars pinned.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table vehicle_links
      -- of the last report taken: the car's word on when it was sent, and when it came
      add column report_sent_at timestamptz,
      add column report_taken_at timestamptz,
      -- since when the unproved change is under way, over all versions that carry it
      add column unproved_since timestamptz;

    update vehicle_links as link set unproved_since = manifest.created_at
    from manifests as manifest
    where manifest.vehicle_id = link.vehicle_id and manifest.version = link.unproved_version;

    alter table enrolment_tokens
      -- counts the packages of a car: the token of each is derived with it
      add column issue integer not null default 1,
      add column issued_at timestamptz;

    -- One row once a control plane has run: cars believe only what this root has signed.
    create table trust_root (
      one boolean primary key default true check (one),
      public_key text not null,
      -- SHA-256 of the certificate of the authority that issues the cars' certificates
      authority text not null,
      recorded_at timestamptz not null
    );
  `.execute(db);
}
