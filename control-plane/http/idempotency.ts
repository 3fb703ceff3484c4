import { createHash } from "node:crypto";
import type { Transaction } from "../store/database.ts";

export type StoredAnswer = { status: number; body: object | null };

export type Claim = { kind: "first" } | { kind: "repeat"; answer: StoredAnswer } | { kind: "otherRequest" };

export function hashBody(body: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify(body ?? null))
    .digest("base64url");
}

/**
 * Claims (principal, key) inside the transaction that does the work. PostgreSQL makes a second claim of the
 * same key wait on the unique index until the first has committed or rolled back, so of any number of parallel
 * calls one does the work and the others get its answer.
 */
export async function claimKey(
  tx: Transaction,
  claim: { principal: string; key: string; route: string; bodyHash: string },
): Promise<Claim> {
  const inserted = await tx
    .insertInto("idempotency_keys")
    .values({ principal: claim.principal, key: claim.key, route: claim.route, body_hash: claim.bodyHash })
    .onConflict((conflict) => conflict.columns(["principal", "key"]).doNothing())
    .executeTakeFirst();
  if (inserted.numInsertedOrUpdatedRows === 1n) return { kind: "first" };
  const stored = await tx
    .selectFrom("idempotency_keys")
    .select(["route", "body_hash", "status", "body"])
    .where("principal", "=", claim.principal)
    .where("key", "=", claim.key)
    .executeTakeFirstOrThrow();
  if (stored.route !== claim.route || stored.body_hash !== claim.bodyHash) return { kind: "otherRequest" };
  return { kind: "repeat", answer: { status: stored.status, body: stored.body } };
}

export async function storeAnswer(
  tx: Transaction,
  claim: { principal: string; key: string },
  answer: StoredAnswer,
): Promise<void> {
  await tx
    .updateTable("idempotency_keys")
    .set({ status: answer.status, body: answer.body === null ? null : JSON.stringify(answer.body) })
    .where("principal", "=", claim.principal)
    .where("key", "=", claim.key)
    .execute();
}
