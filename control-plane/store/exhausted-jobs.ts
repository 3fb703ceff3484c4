import { sql } from "kysely";
import type { Reader, Transaction } from "./database.ts";
import { jobsChannel } from "./jobs.ts";

// Jobs that have used up their attempts wait here for a person, who repairs the cause and runs them again.

export type ExhaustedJob = { id: number; kind: string; attempts: number; lastError: string | null };

/** Oldest first. */
export async function listExhaustedJobs(db: Reader): Promise<ExhaustedJob[]> {
  const rows = await db
    .selectFrom("jobs")
    .select(["id", "kind", "attempts", "last_error"])
    .whereRef("attempts", ">=", "max_attempts")
    .orderBy("id")
    .execute();
  return rows.map(({ id, kind, attempts, last_error }) => ({ id, kind, attempts, lastError: last_error }));
}

/** Gives jobs all their attempts again, at once. @returns the ids of those that were exhausted */
export async function retryExhaustedJobs(tx: Transaction, ids: readonly number[]): Promise<number[]> {
  const rows = await tx
    .updateTable("jobs")
    .set({ attempts: 0, taken_by: null, due_at: sql<Date>`clock_timestamp()` })
    .where("id", "in", [...ids])
    .whereRef("attempts", ">=", "max_attempts")
    .returning("id")
    .execute();
  await sql`select pg_notify(${jobsChannel}, '')`.execute(tx);
  return rows.map(({ id }) => id);
}
