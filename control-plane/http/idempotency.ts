import { createHash } from "node:crypto";
import { sql } from "kysely";
import type { Transaction } from "../store/database.ts";
import { type Refusal, refuse } from "./refusal.ts";
import type { RunMany } from "./run-work.ts";

export type StoredAnswer = { status: number; body: object | null };

export type KeyClaim = { principal: string; key: string; route: string; bodyHash: string };

/** `twin`: the same key is already in this very list, at `of`. A request without a key is always the first. */
export type Claim =
  | { kind: "first" }
  | { kind: "repeat"; answer: StoredAnswer }
  | { kind: "otherRequest" }
  | { kind: "twin"; of: number };

export function hashBody(body: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify(body ?? null))
    .digest("base64url");
}

const nameOf = ({ principal, key }: { principal: string; key: string }) => JSON.stringify([principal, key]);

/**
 * Claims each (principal, key) inside the transaction that does the work. PostgreSQL makes a second claim of the same
 * key wait on the unique index until the first has committed or rolled back, so of any number of parallel calls one
 * does the work and the others get its answer.
 */
export async function claimKeys(tx: Transaction, claims: readonly (KeyClaim | null)[]): Promise<Claim[]> {
  const firstAt = new Map<string, number>();
  for (const [index, claim] of claims.entries())
    if (claim !== null && !firstAt.has(nameOf(claim))) firstAt.set(nameOf(claim), index);
  const given = claims.filter((claim, index) => claim !== null && firstAt.get(nameOf(claim)) === index);
  const asked = given.filter((claim) => claim !== null);
  // Sorted, so that two transactions with the same keys wait for one another and never in a circle.
  asked.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const claimed = asked.length === 0 ? new Set() : await insertKeys(tx, asked);
  const answers: Claim[] = [];
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

/** @returns the names of those that nobody had claimed */
async function insertKeys(tx: Transaction, claims: readonly KeyClaim[]): Promise<Set<string>> {
  const { rows } = await sql<{ principal: string; key: string }>`
    insert into idempotency_keys (principal, key, route, body_hash)
    select * from unnest(${claims.map(({ principal }) => principal)}::text[], ${claims.map(({ key }) => key)}::text[],
                         ${claims.map(({ route }) => route)}::text[], ${claims.map(({ bodyHash }) => bodyHash)}::text[])
    on conflict (principal, key) do nothing
    returning principal, key`.execute(tx);
  return new Set(rows.map(nameOf));
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

/** `answer` `null`: the request was refused, and its key is free again. */
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

export type Done = { kind: "done"; answer: StoredAnswer };

/** Does each request once per key: a repeat gets the stored answer of the first. */
export function oncePerKey<Item>(
  runMany: RunMany<Item, Done>,
): RunMany<{ claim: KeyClaim | null; item: Item }, Done> {
  return async (tx, requests) => {
    const claims = await claimKeys(
      tx,
      requests.map(({ claim }) => claim),
    );
    const first = requests.filter((_, index) => claims[index]?.kind === "first");
    const items = first.map(({ item }) => item);
    const outcomes = items.length === 0 ? [] : await runMany(tx, items);
    const outcomeOf = new Map(first.map((request, index) => [request, outcomes[index]]));
    await storeAnswers(
      tx,
      first.flatMap(({ claim }, index) => {
        const outcome = outcomes[index];
        if (claim === null || outcome === undefined) return [];
        return [{ claim, answer: outcome.kind === "done" ? outcome.answer : null }];
      }),
    );
    return requests.map((request, index): Done | Refusal => {
      const claim = claims[index];
      if (claim === undefined || claim.kind === "otherRequest")
        return refuse("idempotencyKeyReused", "take a new Idempotency-Key for a new request");
      if (claim.kind === "repeat") return { kind: "done", answer: claim.answer };
      // Sent twice in this very list: one does the work and both get its answer.
      const source = claim.kind === "twin" ? requests[claim.of] : request;
      const outcome = source === undefined ? undefined : outcomeOf.get(source);
      if (outcome === undefined) throw new Error("a request of a batch was not run");
      return outcome;
    });
  };
}
