import { sql } from "kysely";
import type { Reader } from "./database.ts";

/**
 * The moment before which everything recorded is settled: no transaction that began earlier is still writing. Rows get
 * their ids when they are written and become visible when they are committed, so a reader that continues after the
 * highest id it has seen would miss a lower one that is committed later. A reader that takes only rows recorded
 * (clock_timestamp) before this moment misses none: the transaction with the lower id began before the higher one was
 * recorded, and has ended.
 *
 * Call it before reading the rows. It assumes, as is true of steps, that a transaction writes something else first
 * (only then it counts as writing), and that the database's clock does not go back.
 *
 * @returns PostgreSQL's text of the instant, to the microsecond
 */
export async function settledBefore(db: Reader): Promise<string> {
  const { rows } = await sql<{ moment: string }>`
    select coalesce(min(xact_start), clock_timestamp())::text as moment from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and backend_xid is not null`.execute(
    db,
  );
  return rows[0]?.moment ?? "-infinity";
}
