import { type Kysely, sql } from "kysely";

// A payment may wait for the customer to confirm it at the bank, and one that staff recorded for a second person. A
// saved card belongs to a customer at the gateway.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table payments drop constraint payments_status_check;
    alter table payments add constraint payments_status_check check (status in
      ('pending', 'presumed', 'unconfirmed', 'authorised', 'captured', 'declined', 'voided', 'refunded', 'recorded',
       'unchecked', 'chargedBack'));
    alter table payments
      -- the bank's page, and until when the customer may confirm there
      add column confirm_url text,
      add column confirm_by timestamptz,
      -- of a transfer from someone other than the customer
      add column payer text,
      -- the second person, where the amount needs one
      add column checked_by text;
    drop index payments_one_live;
    create unique index payments_one_live on payments (expediente_id, kind)
      where expediente_id is not null
        and status in ('pending', 'unconfirmed', 'authorised', 'captured', 'recorded', 'unchecked');

    -- the gateway's own customer, who keeps the cards; null: not opened yet
    alter table customers add column gateway_customer_id text;
    insert into jobs (kind, payload, max_attempts, due_at)
    select 'openGatewayCustomer', jsonb_build_object('customerId', id), 25, now() from customers;
  `.execute(db);
}
