import { sql } from "kysely";
import type { Context } from "../../../lifecycle/context.ts";
import { planNextLookUp, planReconciliation } from "../../../rules/presumption-policy.ts";
import type { Transaction } from "../../../store/database.ts";
import { clearTimers, setTimers } from "../../../store/timers.ts";
import type { Change } from "../effect.ts";
import { giveExposureBack } from "./exposure.ts";

/** Business-time deadline at which a presumed payment is looked up next; its subject is the payment. */
export const lookUpTimer = "presumedPaymentLookUp";

/** The exposure is taken already; that is what the presumption was decided by. */
export async function openPresumptions(
  _context: Context,
  tx: Transaction,
  changes: readonly Change[],
): Promise<void> {
  const presumed = changes.map(({ payment, at }) => {
    const plan = planReconciliation(at.getTime());
    const row = {
      payment_id: payment.id,
      customer_id: payment.customer_id,
      amount_cents: payment.amount_cents,
      presumed_at: at,
      reconcile_by: new Date(plan.reconcileByMs),
    };
    const timer = { subjectId: payment.id, dueAt: new Date(planNextLookUp(plan, at.getTime())) };
    return { row, timer };
  });
  const rows = presumed.map(({ row }) => row);
  await tx.insertInto("presumptions").values(rows).execute();
  const due = presumed.map(({ timer }) => timer);
  await setTimers(tx, lookUpTimer, due);
}

/** What was presumed is known. The payments are locked, so each is found out once. */
export function closePresumptions(outcome: "confirmed" | "compensated" | "dropped") {
  return async (_context: Context, tx: Transaction, changes: readonly Change[]): Promise<void> => {
    const ids = changes.map(({ payment }) => payment.id);
    await sql`
      update presumptions set outcome = ${outcome}, reason = next.reason, settled_at = next.at
      from unnest(${ids}::uuid[], ${changes.map(({ payment }) => payment.decline_reason)}::text[],
                  ${changes.map(({ at }) => at)}::timestamptz[]) as next (payment_id, reason, at)
      where presumptions.payment_id = next.payment_id and outcome = 'open'`.execute(tx);
    const shares = changes.map(({ payment: { customer_id: customerId, amount_cents: amountCents } }) => ({
      customerId,
      amountCents,
    }));
    await giveExposureBack(tx, shares);
    await clearTimers(tx, lookUpTimer, ids);
  };
}
