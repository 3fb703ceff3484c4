import { type Kysely, sql } from "kysely";

// The postings of a ledger transaction are inserted by one statement, so one check of that statement replaces one of
// each row at the commit, and a statement that does not balance is refused at once.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    drop trigger ledger_balances on ledger_postings;

    create or replace function ledger_transaction_balances() returns trigger language plpgsql as $$
    declare
      unbalanced uuid;
    begin
      select transaction_id into unbalanced from ledger_postings
      where transaction_id in (select transaction_id from posted)
      group by transaction_id, currency having sum(amount_cents) <> 0
      limit 1;
      if found then
        raise exception 'ledger transaction % does not sum to zero', unbalanced;
      end if;
      return null;
    end $$;

    create trigger ledger_balances after insert on ledger_postings
      referencing new table as posted
      for each statement execute function ledger_transaction_balances();
  `.execute(db);
}
