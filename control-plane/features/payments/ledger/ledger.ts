import { sql } from "kysely";
import * as z from "zod";
import type { Reader, Transaction } from "../../../store/database.ts";
import { newId } from "../../../store/ids.ts";
import { plainArray } from "../../../store/plain-array.ts";
import type { Payment } from "../payment-rows.ts";
import { type LedgerKind, ledgerKinds, postingsOf } from "./postings.ts";

/** One effect of a payment. */
export type Entry = {
  payment: Payment;
  kind: LedgerKind;
  /** What was paid, or the part of it that goes back. */
  amountCents: number;
  /** Tells apart an effect that a payment may have several times, as its refunds. */
  effectId: string | null;
};

/** What changes in the life of a payment; the rest of its row is written when it is opened. */
const columns = [
  "status",
  "settlement",
  "gateway_payment_id",
  "decline_reason",
  "capture_before",
  "settled_at",
  "waits_because",
  "refunded_cents",
  "confirm_url",
  "checked_by",
  "captured_cents",
  "mismatch",
] as const satisfies readonly (keyof Payment)[];

export function isChanged(before: Payment, after: Payment): boolean {
  return columns.some((column) => before[column] !== after[column]);
}

/**
 * Writes locked payments as they are now, and posts each entry as one balanced transaction, in one statement. An effect
 * that is already posted is left as it is.
 */
export async function keepBooks(
  tx: Transaction,
  at: Date,
  payments: readonly Payment[],
  entries: readonly Entry[],
): Promise<void> {
  if (payments.length === 0 && entries.length === 0) return;
  const list = sql.join(columns.map((column) => sql.ref(column)));
  const rows = payments.map((payment) => JSON.stringify(payment, ["id", ...columns]));
  const transactions = entries.map((entry) => ({ ...entry, id: newId() }));
  const postings = transactions.flatMap(
    ({ id, kind, amountCents, payment: { amount_cents, currency, method } }) =>
      postingsOf(kind, amountCents, method, amount_cents).map((posting) => ({ id, currency, ...posting })),
  );
  await sql`
    with written as (
      update payments as payment
      set (${list}) = (select ${list} from jsonb_populate_record(payment, next.row))
      from unnest(${rows}::jsonb[]) as next (row)
      where payment.id = (next.row ->> 'id')::uuid
    ), posted as (
      insert into ledger_transactions (id, payment_id, kind, at, effect_id)
      select id, payment_id, kind, ${at}, effect_id
      from unnest(${plainArray(transactions.map(({ id }) => id))}::uuid[],
                  ${plainArray(transactions.map(({ payment }) => payment.id))}::uuid[],
                  ${plainArray(transactions.map(({ kind }) => kind))}::text[],
                  ${transactions.map(({ effectId }) => effectId)}::text[])
        as next (id, payment_id, kind, effect_id)
      on conflict on constraint ledger_effect_once do nothing
      returning id
    )
    insert into ledger_postings (transaction_id, account, amount_cents, currency)
    select posting.*
    from unnest(${plainArray(postings.map(({ id }) => id))}::uuid[],
                ${plainArray(postings.map(({ account }) => account))}::text[],
                ${plainArray(postings.map(({ amountCents }) => amountCents))}::int[],
                ${plainArray(postings.map(({ currency }) => currency))}::text[])
      as posting (transaction_id, account, amount_cents, currency)
    join posted on posted.id = posting.transaction_id`.execute(tx);
}

/** Of these payments the ones whose money is a deposit that nobody has earned or forfeited yet. */
export async function findOwed(tx: Transaction, payments: readonly Payment[]): Promise<ReadonlySet<string>> {
  const ids = payments.filter(({ kind }) => kind !== "service").map(({ id }) => id);
  if (ids.length === 0) return new Set();
  const earned = await tx
    .selectFrom("ledger_transactions")
    .where("payment_id", "in", ids)
    .where("kind", "in", ["depositEarned", "depositForfeited"])
    .select("payment_id")
    .execute();
  return new Set(ids).difference(new Set(earned.map(({ payment_id: id }) => id)));
}

const ledgerKindSchema = z.enum(ledgerKinds);

/** Every effect of a payment, in the order in which they were posted. */
export async function readLedger(db: Reader, paymentId: string) {
  const rows = await db
    .selectFrom("ledger_transactions")
    .innerJoin("ledger_postings", "ledger_postings.transaction_id", "ledger_transactions.id")
    .where("payment_id", "=", paymentId)
    .orderBy("ledger_transactions.id")
    .orderBy("amount_cents", "desc")
    .orderBy("account")
    .select(["ledger_transactions.id", "kind", "at", "account", "amount_cents", "currency"])
    .execute();
  return [...Map.groupBy(rows, (row) => row.id).values()].flatMap((postings) =>
    postings.slice(0, 1).map(({ kind, at }) => ({
      kind: ledgerKindSchema.parse(kind),
      at: at.toISOString(),
      postings: postings.map(({ account, amount_cents: amountCents, currency }) => ({
        account,
        amountCents,
        currency,
      })),
    })),
  );
}
