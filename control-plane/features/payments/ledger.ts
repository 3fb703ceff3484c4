import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { type LedgerKind, postingsOf } from "./postings.ts";

export type LedgerSubject = {
  id: string;
  amount_cents: number;
  currency: string;
  method: "card" | "cash" | "transfer";
};

/**
 * Posts one effect of a payment as one balanced transaction; an effect already posted is left as it is.
 * @param effectId tells apart an effect that a payment may have several times, as its refunds
 */
export async function postToLedger(
  context: Context,
  tx: Transaction,
  payment: LedgerSubject,
  kind: LedgerKind,
  effectId: string | null = null,
): Promise<void> {
  const transactionId = newId();
  const inserted = await tx
    .insertInto("ledger_transactions")
    .values({ id: transactionId, payment_id: payment.id, kind, at: context.clock.now(), effect_id: effectId })
    .onConflict((conflict) => conflict.constraint("ledger_effect_once").doNothing())
    .executeTakeFirst();
  if (inserted.numInsertedOrUpdatedRows !== 1n) return;
  await tx
    .insertInto("ledger_postings")
    .values(
      postingsOf(kind, payment.amount_cents, payment.method).map(({ account, amountCents }) => ({
        transaction_id: transactionId,
        account,
        amount_cents: amountCents,
        currency: payment.currency,
      })),
    )
    .execute();
}

/** One effect of each of many payments, in one statement; effects already posted are left as they are. */
export async function postManyToLedger(
  context: Context,
  tx: Transaction,
  payments: readonly LedgerSubject[],
  kind: LedgerKind,
): Promise<void> {
  if (payments.length === 0) return;
  const transactions = payments.map((payment) => ({ id: newId(), payment }));
  const postings = transactions.flatMap(({ id, payment: { amount_cents: cents, currency, method } }) =>
    postingsOf(kind, cents, method).map((posting) => ({ id, currency, ...posting })),
  );
  await sql`
    with posted as (
      insert into ledger_transactions (id, payment_id, kind, at)
      select id, payment_id, ${kind}, ${context.clock.now()}
      from unnest(${transactions.map(({ id }) => id)}::uuid[], ${payments.map(({ id }) => id)}::uuid[])
        as next (id, payment_id)
      on conflict on constraint ledger_effect_once do nothing
      returning id
    )
    insert into ledger_postings (transaction_id, account, amount_cents, currency)
    select posting.* from unnest(${postings.map(({ id }) => id)}::uuid[], ${postings.map(({ account }) => account)}::text[],
                                 ${postings.map(({ amountCents }) => amountCents)}::int[],
                                 ${postings.map(({ currency }) => currency)}::text[])
      as posting (transaction_id, account, amount_cents, currency)
    join posted on posted.id = posting.transaction_id`.execute(tx);
}
