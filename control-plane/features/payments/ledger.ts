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
