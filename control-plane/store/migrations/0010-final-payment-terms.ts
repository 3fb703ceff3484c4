import { type Kysely, sql } from "kysely";

// The terms of a sale's final payment, as they were when it was asked for.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table expedientes
      add column final_payment_asked_at timestamptz,
      -- null: the terms set no date
      add column final_payment_due_at timestamptz,
      -- refusals by the bank with which the car is lost, and those there were
      add column final_payment_tries integer not null default 1 check (final_payment_tries > 0),
      add column final_payment_refusals integer not null default 0;
  `.execute(db);
}
