import { type Kysely, sql } from "kysely";

// The queue of the jobs that every purchase makes.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table quick_jobs (
      id bigint generated always as identity primary key,
      kind text not null,
      payload jsonb not null,
      -- at most one job waits under a key
      key text unique,
      -- real time; for a job in hand, the end of its lease
      due_at timestamptz not null,
      attempts integer not null default 0,
      max_attempts integer not null,
      -- the worker that has it in hand, which shows by an advisory lock that it lives
      taken_by integer,
      last_error text
    ) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
    create index on quick_jobs (due_at) where attempts < max_attempts;
  `.execute(db);
}
