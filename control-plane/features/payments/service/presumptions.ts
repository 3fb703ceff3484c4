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
  const presumed = changes.map(({ payment, at }) => ({
    payment,
    at,
    plan: planReconciliation(at.getTime()),
  }));
  await tx
    .insertInto("presumptions")
    .values(
      presumed.map(({ payment, at, plan }) => ({
        payment_id: payment.id,
        customer_id: payment.customer_id,
        amount_cents: payment.amount_cents,
        presumed_at: at,
        reconcile_by: new Date(plan.reconcileByMs),
      })),
    )
    .execute();
  await setTimers(
    tx,
    lookUpTimer,
    presumed.map(({ payment, at, plan }) => ({
      subjectId: payment.id,
      dueAt: new Date(planNextLookUp(plan, at.getTime())),
    })),
  );
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
    await giveExposureBack(
      tx,
      changes.map(({ payment }) => ({ customerId: payment.customer_id, amountCents: payment.amount_cents })),
    );
    await clearTimers(tx, lookUpTimer, ids);
  };
}
