import { dayMs } from "@caas/contract/durations.ts";
import { sql } from "kysely";
import type { Db } from "../../store/database.ts";

/**
 * How long rows that only guard against repetition are kept, in real time: the callers' retries, and the partners', end
 * long before.
 */
export const keptDays = { idempotencyKeys: 30, receivedWebhooks: 30 };

/** Rows in one statement: short enough to hold up nobody. */
const mostAtOnce = 5_000;

/** Removes what has had its time; how many rows. */
export async function prune(db: Db, now: Date): Promise<number> {
  const before = (days: number) => new Date(now.getTime() - days * dayMs);
  const old = [
    sql`delete from auth_sessions where ctid in (
      select ctid from auth_sessions where "expiresAt" < ${now} limit ${mostAtOnce})`,
    sql`delete from auth_verifications where ctid in (
      select ctid from auth_verifications where "expiresAt" < ${now} limit ${mostAtOnce})`,
    sql`delete from try_limits where ctid in (
      select ctid from try_limits where expire < ${now.getTime()} limit ${mostAtOnce})`,
    sql`delete from idempotency_keys where ctid in (
      select ctid from idempotency_keys where created_at < ${before(keptDays.idempotencyKeys)} limit ${mostAtOnce})`,
    sql`delete from received_webhooks where ctid in (
      select ctid from received_webhooks where received_at < ${before(keptDays.receivedWebhooks)} limit ${mostAtOnce})`,
  ];
  let pruned = 0;
  for (const statement of old)
    for (let removed = mostAtOnce; removed === mostAtOnce; pruned += removed)
      removed = Number((await statement.execute(db)).numAffectedRows ?? 0n);
  return pruned;
}
