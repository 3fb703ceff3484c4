import { type Kysely, sql } from "kysely";

// Money is judged by what the gateway really did: what it took, what it gave back and what came back, and what it says
// that contradicts us. And since when a service is taken out of its car.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table payments
      -- null: nothing was taken through the gateway
      add column captured_cents integer check (captured_cents > 0),
      -- which field of the gateway's record is not our payment's: said once for each
      add column mismatch text;
    update payments set captured_cents = amount_cents
    where method = 'card' and status in ('captured', 'refunded', 'chargedBack');

    do $$
    declare old text;
    begin
      select conname into strict old from pg_constraint
      where conrelid = 'payments'::regclass and contype = 'c'
        and pg_get_constraintdef(oid) like '%refunded_cents <= amount_cents%';
      execute format('alter table payments drop constraint %I', old);
    end $$;
    alter table payments add constraint payments_refunds_within_capture
      check (refunded_cents >= 0 and refunded_cents <= coalesce(captured_cents, amount_cents));

    -- made, and sent back by the customer's bank
    alter table refunds drop constraint refunds_status_check;
    alter table refunds add constraint refunds_status_check
      check (status in ('requested', 'done', 'refused', 'failed'));

    alter table entitlements add column withdrawn_at timestamptz;
  `.execute(db);
}
