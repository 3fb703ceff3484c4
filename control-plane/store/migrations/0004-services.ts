import { type Kysely, sql } from "kysely";

// Catalogue, activations (one delivery each), entitlements (what a car may hold) and the manifests they make.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table catalog_plans (
      code text primary key,
      name text not null,
      price_cents integer not null check (price_cents > 0),
      reservation_cents integer not null check (reservation_cents > 0 and reservation_cents < price_cents),
      configuration jsonb not null,
      maintenance_months integer not null check (maintenance_months > 0),
      maintenance_km integer not null check (maintenance_km > 0)
    );

    create table catalog_options (
      code text primary key,
      name text not null,
      price_cents integer not null check (price_cents > 0),
      configuration jsonb not null
    );

    create table catalog_services (
      id uuid primary key,
      code text not null unique,
      name text not null,
      description text not null,
      price_cents integer not null check (price_cents > 0),
      currency text not null,
      duration_days integer not null check (duration_days > 0),
      depends_on_maintenance boolean not null default true,
      configuration jsonb not null,
      offered boolean not null default true
    );

    -- The hot row of a car: apart from vehicles so that the link's traffic never rewrites business columns.
    create table vehicle_links (
      vehicle_id uuid primary key references vehicles,
      vin text not null unique,
      proof_public_key text,
      manifest_version integer not null default 0,
      manifest_hash text not null,
      active_version integer not null default 0,
      active_hash text not null,
      report_seq integer not null default 0,
      key_set_version integer not null default 0,
      presence text not null default 'unknown' check (presence in ('unknown', 'online', 'offline')),
      presence_connection integer not null default 0,
      -- the one unproved change: the version that carries it, and the activation it belongs to (none: the plan's)
      unproved_version integer,
      unproved_activation_id uuid
    ) with (fillfactor = 50);

    create table entitlements (
      id uuid primary key,
      vehicle_id uuid not null references vehicles,
      source text not null check (source in ('plan', 'service')),
      code text not null,
      configuration jsonb not null,
      duration_seconds integer,
      state text not null check (state in ('wanted', 'proved', 'ending', 'ended')),
      end_reason text,
      valid_until timestamptz,
      created_at timestamptz not null,
      proved_at timestamptz,
      ended_at timestamptz
    );
    create index on entitlements (vehicle_id) where state <> 'ended';

    create table activations (
      id uuid primary key,
      vehicle_id uuid not null references vehicles,
      customer_id uuid not null references customers,
      service_id uuid not null references catalog_services,
      entitlement_id uuid references entitlements,
      state text not null,
      price_cents integer not null,
      currency text not null,
      duration_days integer not null,
      maintenance_status text check (maintenance_status in ('current', 'overdue', 'unavailable', 'unknown', 'notRequired')),
      maintenance_checked_at timestamptz,
      payment_method text not null,
      capture_before timestamptz,
      payment_confirmed boolean not null default false,
      attempts_used integer not null default 0,
      attempts_allowed integer not null,
      -- while in RetryQueue: not before
      retry_at timestamptz,
      end_reason text,
      created_at timestamptz not null,
      queued_at timestamptz,
      ended_at timestamptz
    );
    create index on activations (vehicle_id, created_at);
    create index on activations (vehicle_id, queued_at) where state in ('OTAQueue', 'RetryQueue');

    create table manifests (
      vehicle_id uuid not null references vehicles,
      version integer not null,
      hash text not null,
      entries jsonb not null,
      activation_id uuid references activations,
      created_at timestamptz not null,
      primary key (vehicle_id, version)
    );

    -- One row an attempt: the version that carried it, and the car's signed answer as proof.
    create table attempts (
      activation_id uuid not null references activations,
      attempt integer not null,
      vehicle_id uuid not null,
      version integer not null,
      started_at timestamptz not null,
      ended_at timestamptz,
      result text check (result in ('applied', 'failed', 'superseded')),
      reason text,
      failure_class text,
      report text,
      primary key (activation_id, attempt),
      unique (vehicle_id, version)
    );

    -- The car's signed proof of a version that nobody paid for by itself: the plan's, or a roll-out's.
    create table plan_proofs (
      vehicle_id uuid not null,
      version integer not null,
      report text not null,
      primary key (vehicle_id, version)
    );

    -- Due work of the link as rows that come and go: a manifest to send, or to send again.
    create table manifest_dispatches (
      vehicle_id uuid primary key references vehicles,
      due_at timestamptz not null,
      sends integer not null default 0,
      first_sent_at timestamptz
    );
    create index on manifest_dispatches (due_at);

    create table displays (
      id uuid primary key,
      vehicle_id uuid not null references vehicles,
      content jsonb not null,
      issued_at timestamptz not null,
      expires_at timestamptz not null,
      acknowledged_at timestamptz,
      result text
    );
    create index on displays (vehicle_id) where acknowledged_at is null;
  `.execute(db);
}
