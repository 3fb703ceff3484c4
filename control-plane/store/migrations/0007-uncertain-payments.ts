import { type Kysely, sql } from "kysely";

// What follows an answer that did not come, and money that is taken back: presumed payments and the exposure they
// make, refunds, charge-backs.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table payments drop constraint payments_status_check;
    alter table payments add constraint payments_status_check check (status in
      ('pending', 'presumed', 'authorised', 'captured', 'declined', 'voided', 'refunded', 'recorded', 'chargedBack'));
    alter table payments
      -- row of the presumption rules for which an unanswered payment waits
      add column waits_because text,
      -- asked back or given back: never more than was paid
      add column refunded_cents integer not null default 0
        check (refunded_cents >= 0 and refunded_cents <= amount_cents);
    -- who has paid before, and who has taken a payment back
    create index payments_of_customer on payments (customer_id) where status in ('captured', 'chargedBack');

    -- One row a presumed payment, for ever: what was assumed, and what was true.
    create table presumptions (
      payment_id uuid primary key references payments,
      customer_id uuid not null references customers,
      amount_cents integer not null check (amount_cents > 0),
      presumed_at timestamptz not null,
      reconcile_by timestamptz not null,
      -- confirmed: held or charged; compensated: it did not exist, and what was delivered was taken back;
      -- dropped: given up meanwhile, so that there was nothing to take back
      outcome text not null default 'open' check (outcome in ('open', 'confirmed', 'compensated', 'dropped')),
      reason text,
      settled_at timestamptz
    );
    create index on presumptions (outcome);

    -- What is presumed and not known yet: a customer's id, or 'all'. Only ever changed by an update that holds the cap.
    create table payment_exposure (
      scope text primary key,
      open_cents bigint not null check (open_cents >= 0)
    );
    insert into payment_exposure (scope, open_cents) values ('all', 0);

    create table refunds (
      id uuid primary key,
      payment_id uuid not null references payments,
      amount_cents integer not null check (amount_cents > 0),
      reason text not null,
      status text not null check (status in ('requested', 'done', 'refused')),
      gateway_refund_id text unique,
      -- null: made in the gateway's own screens
      requested_by text,
      created_at timestamptz not null,
      settled_at timestamptz
    );
    create index on refunds (payment_id);

    create table charge_backs (
      gateway_dispute_id text primary key,
      payment_id uuid not null references payments,
      amount_cents integer not null check (amount_cents > 0),
      reason text not null,
      status text not null check (status in ('open', 'won', 'lost')),
      opened_at timestamptz not null,
      closed_at timestamptz
    );
    create index on charge_backs (payment_id);

    -- An effect that a payment may have several times (a refund) is told apart by its own id.
    alter table ledger_transactions add column effect_id text;
    alter table ledger_transactions drop constraint ledger_transactions_payment_id_kind_key;
    alter table ledger_transactions add constraint ledger_effect_once
      unique nulls not distinct (payment_id, kind, effect_id);

    -- while the payment is presumed: until when the car may apply what it pays for
    alter table activations add column presumed_until timestamptz;
  `.execute(db);
}
