import type { Context } from "../../lifecycle/context.ts";
import { type PaymentEffect, paymentEffects } from "../../rules/payment-machine.ts";
import type { Transaction } from "../../store/database.ts";
import type { Change, Effect } from "./effect.ts";
import { type Entry, findOwed, isChanged, keepBooks } from "./ledger/ledger.ts";
import { moneyBackEffects } from "./money-back/effects.ts";
import { paidCentsOf } from "./payment-rows.ts";
import { saleEffects } from "./sale/effects.ts";
import { serviceEffects } from "./service/effects.ts";

const effects: Readonly<Record<PaymentEffect, Effect>> = {
  ...serviceEffects,
  ...saleEffects,
  ...moneyBackEffects,
};

/** Writes what has changed with its postings in one statement, and then does each effect for all that have it. */
export async function carryOut(
  context: Context,
  tx: Transaction,
  at: Date,
  changes: readonly Change[],
): Promise<void> {
  const changed = changes.filter(({ before, payment }) => isChanged(before, payment));
  const latest = new Map(changed.map(({ payment }) => [payment.id, payment]));
  await keepBooks(tx, at, [...latest.values()], await listEntries(tx, changes));
  for (const effect of paymentEffects) {
    const caused = changes.filter((change) => change.effects.includes(effect));
    if (caused.length > 0) await effects[effect].carryOut?.(context, tx, caused);
  }
}

async function listEntries(tx: Transaction, changes: readonly Change[]): Promise<Entry[]> {
  const posts = changes.flatMap(({ payment, news, effects: caused }) =>
    caused.flatMap((effect) => {
      const kinds = effects[effect].posts;
      if (kinds === undefined) return [];
      const [effectId, amountCents] =
        "part" in news ? [news.part.id, news.part.amountCents] : [null, paidCentsOf(payment)];
      return [{ payment, effectId, amountCents, kinds }];
    }),
  );
  const inDoubt = posts.flatMap(({ kinds, payment }) => (typeof kinds === "string" ? [] : [payment]));
  const owed = await findOwed(tx, inDoubt);
  return posts.map(({ kinds, ...entry }) => ({
    ...entry,
    kind: typeof kinds === "string" ? kinds : owed.has(entry.payment.id) ? kinds.owed : kinds.earned,
  }));
}
