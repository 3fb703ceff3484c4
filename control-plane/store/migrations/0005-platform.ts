import { type Kysely, sql } from "kysely";

// What every capability leans on: steps, notifications, tasks, timers, idempotency, webhooks, enrolment.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- Every executed step: what happened, by which automation row, who really did it, and whether by itself.
    create table steps (
      id bigint generated always as identity primary key,
      expediente_id uuid,
      vehicle_id uuid,
      activation_id uuid,
      event text not null,
      from_state text,
      to_state text,
      arrow text,
      automation_row text,
      automatic boolean not null,
      actor_kind text not null check (actor_kind in ('system', 'staff', 'customer', 'partner', 'vehicle')),
      actor_id text,
      detail jsonb not null default '{}',
      at timestamptz not null,
      recorded_at timestamptz not null default clock_timestamp()
    );
    create index on steps (expediente_id, id);
    create index on steps (vehicle_id, id);
    create index on steps (activation_id, id);

    create table notifications (
      id uuid primary key,
      row_id text not null,
      event text not null,
      recipient text not null,
      channel text not null check (channel in ('email', 'sms', 'push', 'inApp')),
      priority text not null,
      status text not null check (status in ('queued', 'accepted', 'failed', 'channelNotConfigured')),
      address text,
      subject text,
      -- as sent, with secrets masked
      body text,
      expediente_id uuid,
      vehicle_id uuid,
      activation_id uuid,
      customer_id uuid references customers,
      provider_id text,
      last_error text,
      created_at timestamptz not null,
      sent_at timestamptz
    );
    create index on notifications (customer_id, created_at);
    create index on notifications (expediente_id);
    create index on notifications (activation_id);

    create table tasks (
      id uuid primary key,
      kind text not null,
      team text not null check (team in ('dealership', 'support')),
      title text not null,
      detail jsonb not null default '{}',
      status text not null default 'open' check (status in ('open', 'resolved')),
      expediente_id uuid,
      vehicle_id uuid,
      activation_id uuid,
      dealership_id uuid references dealerships,
      created_at timestamptz not null,
      resolved_at timestamptz,
      resolved_by text,
      resolution text
    );
    create index on tasks (team, created_at) where status = 'open';

    -- Deadlines in business time. The job queue runs on real time, so they live here.
    create table timers (
      kind text not null,
      subject_id uuid not null,
      due_at timestamptz not null,
      primary key (kind, subject_id)
    );
    create index on timers (due_at);

    create table idempotency_keys (
      principal text not null,
      key text not null,
      route text not null,
      body_hash text not null,
      status integer not null default 0,
      -- json, not jsonb: a repeated answer is the same text
      body json,
      created_at timestamptz not null default now(),
      primary key (principal, key)
    );
    create index on idempotency_keys (created_at);

    create table received_webhooks (
      source text not null,
      id text not null,
      type text not null,
      received_at timestamptz not null default now(),
      primary key (source, id)
    );

    create table enrolment_tokens (
      vehicle_id uuid primary key references vehicles,
      vin text not null unique,
      token_hash text not null unique,
      expires_at timestamptz not null,
      used_at timestamptz,
      tls_key_thumbprint text,
      proof_public_key text,
      certificate text,
      serial_number text,
      handed_over_at timestamptz
    );
  `.execute(db);
}
