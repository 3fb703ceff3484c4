import type { Principal } from "../../../http/principal.ts";
import { type Refusal, refuse } from "../../../http/refusal.ts";
import type { Context } from "../../../lifecycle/context.ts";
import { decidePayment } from "../../../rules/payment-machine.ts";
import type { Transaction } from "../../../store/database.ts";
import { hear } from "../hear.ts";
import { expedienteOf, lockPayments, paymentOf } from "../payment-rows.ts";
import { refuseFinalPayment } from "./final-payment.ts";
import { lockSale, type Requested, refuseClosed } from "./sale.ts";

/** A second member of staff has looked at the account, and says whether what was recorded is there. */
export async function takeSecondLook(
  context: Context,
  tx: Transaction,
  request: { principal: Principal; paymentId: string; outcome: "passed" | "failed" },
): Promise<Requested | Refusal> {
  const { principal, paymentId, outcome } = request;
  const payment = paymentOf(await lockPayments(tx, [paymentId]), paymentId);
  const heard = outcome === "passed" ? "checkPassed" : "checkFailed";
  const decision = decidePayment(payment, heard);
  if (decision.kind === "refused") return refuse("conflict", decision.message);
  if (payment.recorded_by === principal.userId)
    return refuse("forbidden", "you recorded this payment yourself: someone else must look at it");
  if (outcome === "passed") {
    const sale = await lockSale(tx, expedienteOf(payment));
    // Since it was recorded the sale may have ended.
    const late = refuseClosed(sale) ?? (payment.kind === "final" ? refuseFinalPayment(sale) : null);
    if (late !== null) return late;
  }
  const set = {
    checked_by: principal.userId,
    settled_at: context.clock.now(),
    ...(outcome === "failed" ? { decline_reason: "secondLookFailed" } : {}),
  };
  const [after] = await hear(context, tx, [{ payment, heard, set }]);
  await context.publish(tx, "secondLookTaken", [{ paymentId, outcome, checkedBy: principal.userId }]);
  return { kind: "requested", payment: after.payment };
}
