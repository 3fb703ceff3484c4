import { type Kysely, sql } from "kysely";

// Of a session's token only the hash stays; sessions that are open stay open. Tries with a password are counted in one
// table for all replicas (the columns are rate-limiter-flexible's). Rows that are pruned by age are found by an index.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    update auth_sessions set token = encode(sha256(convert_to(token, 'UTF8')), 'hex');
    create index on auth_sessions ("expiresAt");

    create table try_limits (
      key varchar(255) primary key,
      points integer not null default 0,
      expire bigint
    );
    create index on try_limits (expire);

    create index on received_webhooks using brin (received_at);
  `.execute(db);
}
