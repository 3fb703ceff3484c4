import { type Kysely, sql } from "kysely";

// Expediente de compra, factory orders, vehicles before and after their VIN, registration, transport, delivery.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table vehicles (
      id uuid primary key,
      vin text unique,
      -- 'start' until the factory order is placed, 'end' once it has left the business
      state text not null,
      owner_customer_id uuid references customers,
      reservation_paid boolean not null default false,
      factory_order_placed boolean not null default false,
      manufacturing_complete boolean not null default false,
      final_payment text not null default 'none' check (final_payment in ('none', 'received', 'failed')),
      registration text not null default 'none' check (registration in ('none', 'requested', 'recorded')),
      transport text not null default 'none' check (transport in ('none', 'arranged')),
      physically_delivered boolean not null default false,
      app_linked_at timestamptz,
      order_cancelled boolean not null default false,
      created_at timestamptz not null
    );
    create index on vehicles (owner_customer_id);

    create table expedientes (
      id uuid primary key,
      reference text not null unique,
      customer_id uuid not null references customers,
      dealership_id uuid not null references dealerships,
      vehicle_id uuid not null references vehicles,
      sold_by text not null references auth_users,
      -- open, completed (delivered), reservationLost, cancelled
      status text not null default 'open',
      plan_comercial jsonb not null,
      price_cents integer not null check (price_cents > 0),
      reservation_cents integer not null check (reservation_cents > 0 and reservation_cents < price_cents),
      currency text not null,
      username text,
      credentials_issued_at timestamptz,
      vin text,
      registration_document jsonb,
      delivery jsonb,
      created_at timestamptz not null
    );
    create index on expedientes (customer_id);
    create index on expedientes (dealership_id);
    create index on expedientes (vehicle_id);

    create table orders (
      id uuid primary key,
      expediente_id uuid not null unique references expedientes,
      vehicle_id uuid not null references vehicles,
      reference text not null unique,
      status text not null check (status in ('placing', 'placed', 'inManufacturing', 'completed', 'cancelled')),
      configuration jsonb not null,
      factory_order_id text unique,
      progress_percent integer not null default 0,
      milestone text,
      eta timestamptz,
      vin text,
      placed_at timestamptz,
      created_at timestamptz not null
    );

    create table registrations (
      id uuid primary key,
      expediente_id uuid not null unique references expedientes,
      reference text not null unique,
      status text not null check (status in ('requested', 'recorded')),
      authority_id text,
      plate text,
      registered_on date,
      requested_at timestamptz not null,
      recorded_at timestamptz
    );

    create table transports (
      id uuid primary key,
      expediente_id uuid not null references expedientes,
      reference text not null unique,
      status text not null
        check (status in ('requested', 'scheduled', 'started', 'arrived', 'delivered', 'customerAbsent', 'returned', 'replaced', 'refused')),
      carrier_transport_id text unique,
      requested_date date not null,
      scheduled_date date,
      driver text,
      route jsonb,
      received_by text,
      arranged_by text not null,
      requested_at timestamptz not null
    );
    create index on transports (expediente_id);

    create table link_codes (
      vehicle_id uuid primary key references vehicles,
      display_id uuid not null,
      code_hash text not null,
      customer_id uuid not null references customers,
      expires_at timestamptz not null,
      tries_left integer not null check (tries_left >= 0)
    );
  `.execute(db);
}
