import { type Kysely, sql } from "kysely";

// Every payment, and the double-entry ledger under it.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table payments (
      id uuid primary key,
      kind text not null check (kind in ('reservation', 'final', 'service')),
      expediente_id uuid references expedientes,
      activation_id uuid,
      customer_id uuid not null references customers,
      amount_cents integer not null check (amount_cents > 0),
      currency text not null,
      -- card through the gateway; cash or transfer as staff record them
      method text not null check (method in ('card', 'cash', 'transfer')),
      payment_method text,
      status text not null
        check (status in ('pending', 'authorised', 'captured', 'declined', 'voided', 'refunded', 'recorded')),
      gateway_payment_id text unique,
      decline_reason text,
      capture_before timestamptz,
      -- what becomes of a hold, decided once under the row's lock: taken or let go, never both
      settlement text check (settlement in ('capture', 'void')),
      recorded_by text,
      created_at timestamptz not null,
      settled_at timestamptz,
      check ((kind = 'service') = (activation_id is not null)),
      check ((kind = 'service') = (expediente_id is null))
    );
    create index on payments (expediente_id);
    create unique index on payments (activation_id);
    -- At most one payment of a kind is under way or settled for one expediente.
    create unique index payments_one_live on payments (expediente_id, kind)
      where expediente_id is not null and status in ('pending', 'authorised', 'captured', 'recorded');

    create table ledger_transactions (
      id uuid primary key,
      payment_id uuid not null references payments,
      kind text not null,
      at timestamptz not null,
      unique (payment_id, kind)
    );

    create table ledger_postings (
      transaction_id uuid not null references ledger_transactions,
      account text not null,
      -- debit positive, credit negative; minor units
      amount_cents integer not null check (amount_cents <> 0),
      currency text not null,
      primary key (transaction_id, account)
    );

    create function ledger_transaction_balances() returns trigger language plpgsql as $$
    begin
      if exists (
        select 1 from ledger_postings where transaction_id = new.transaction_id
        group by currency having sum(amount_cents) <> 0
      ) then
        raise exception 'ledger transaction % does not sum to zero', new.transaction_id;
      end if;
      return null;
    end $$;

    create constraint trigger ledger_balances after insert on ledger_postings
      deferrable initially deferred for each row execute function ledger_transaction_balances();

    create function ledger_is_append_only() returns trigger language plpgsql as $$
    begin
      raise exception 'the ledger is append-only: post a correcting transaction';
    end $$;

    create trigger ledger_postings_append_only before update or delete on ledger_postings
      for each statement execute function ledger_is_append_only();
    create trigger ledger_transactions_append_only before update or delete on ledger_transactions
      for each statement execute function ledger_is_append_only();
  `.execute(db);
}
