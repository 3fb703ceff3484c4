import { type Kysely, sql } from "kysely";

// Webhooks are stored before they are judged.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table received_webhooks
      add column body text,
      add column failure text,
      add column failed_at timestamptz;
  `.execute(db);
}
