import { createHash } from "node:crypto";
import { sql } from "kysely";
import type { Transaction } from "../store/database.ts";

export type StoredAnswer = { status: number; body: object | null };

export type Claim = { kind: "first" } | { kind: "repeat"; answer: StoredAnswer } | { kind: "otherRequest" };

export type KeyClaim = { principal: string; key: string; route: string; bodyHash: string };

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
export async function claimKey(tx: Transaction, claim: KeyClaim): Promise<Claim> {
  const inserted = await tx
    .insertInto("idempotency_keys")
    .values({ principal: claim.principal, key: claim.key, route: claim.route, body_hash: claim.bodyHash })
    .onConflict((conflict) => conflict.columns(["principal", "key"]).doNothing())
    .executeTakeFirst();
  if (inserted.numInsertedOrUpdatedRows === 1n) return { kind: "first" };
  return readStored(tx, claim);
}

async function readStored(tx: Transaction, claim: KeyClaim): Promise<Claim> {
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

/** `twin`: the same key stands before it in this very list, at `of`. A request without a key is always the first. */
export type ClaimOfMany = Claim | { kind: "twin"; of: number };

/** The same for many requests; what each of them came to stands in the same order. */
export async function claimKeys(
  tx: Transaction,
  claims: readonly (KeyClaim | null)[],
): Promise<ClaimOfMany[]> {
  const nameOf = ({ principal, key }: { principal: string; key: string }) => JSON.stringify([principal, key]);
  const firstAt = new Map<string, number>();
  for (const [index, claim] of claims.entries())
    if (claim !== null && !firstAt.has(nameOf(claim))) firstAt.set(nameOf(claim), index);
  const given = claims.filter((claim, index) => claim !== null && firstAt.get(nameOf(claim)) === index);
  const asked = given.filter((claim) => claim !== null);
  // In one order, so that two rounds with the same keys wait for one another and not in a circle.
  asked.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const { rows } = await sql<{ principal: string; key: string }>`
    insert into idempotency_keys (principal, key, route, body_hash)
    select * from unnest(${asked.map(({ principal }) => principal)}::text[], ${asked.map(({ key }) => key)}::text[],
                         ${asked.map(({ route }) => route)}::text[], ${asked.map(({ bodyHash }) => bodyHash)}::text[])
    on conflict (principal, key) do nothing
    returning principal, key`.execute(tx);
  const claimed = new Set(rows.map(nameOf));
  const answers: ClaimOfMany[] = [];
  for (const [index, claim] of claims.entries()) {
    if (claim === null) {
      answers.push({ kind: "first" });
      continue;
    }
    const at = firstAt.get(nameOf(claim)) ?? index;
    const before = claims[at];
    if (!claimed.has(nameOf(claim))) answers.push(await readStored(tx, claim));
    else if (at === index) answers.push({ kind: "first" });
    else if (before?.route !== claim.route || before.bodyHash !== claim.bodyHash)
      answers.push({ kind: "otherRequest" });
    else answers.push({ kind: "twin", of: at });
  }
  return answers;
}

/** `answer` `null`: it was refused, and the key is free again. */
export async function storeAnswers(
  tx: Transaction,
  all: readonly { claim: KeyClaim; answer: StoredAnswer | null }[],
): Promise<void> {
  const done = all.flatMap(({ claim, answer }) => (answer === null ? [] : [{ claim, answer }]));
  const refused = all.filter(({ answer }) => answer === null);
  if (done.length > 0)
    await sql`
      update idempotency_keys as claimed set status = given.status, body = given.body::json
      from unnest(${done.map(({ claim }) => claim.principal)}::text[], ${done.map(({ claim }) => claim.key)}::text[],
                  ${done.map(({ answer }) => answer.status)}::int[],
                  ${done.map(({ answer }) => (answer.body === null ? null : JSON.stringify(answer.body)))}::text[])
        as given (principal, key, status, body)
      where claimed.principal = given.principal and claimed.key = given.key`.execute(tx);
  if (refused.length > 0)
    await sql`
      delete from idempotency_keys as claimed
      using unnest(${refused.map(({ claim }) => claim.principal)}::text[],
                   ${refused.map(({ claim }) => claim.key)}::text[]) as given (principal, key)
      where claimed.principal = given.principal and claimed.key = given.key`.execute(tx);
}
