import type { Context } from "../../lifecycle/context.ts";
import {
  decidePresumption,
  type PresumptionDecision,
  type PresumptionLimits,
  planNextLookUp,
  planReconciliation,
  presumptionRules,
} from "../../rules/presumption-policy.ts";
import type { Transaction } from "../../store/database.ts";
import { setTimers } from "../../store/timers.ts";
import { readExposure, takeExposure } from "./exposure.ts";
import { postToLedger } from "./ledger.ts";
import { lockPayment, type Payment } from "./payment-row.ts";
import { activationOf } from "./service-payments.ts";

/** Business-time deadline at which a presumed payment is looked up next; its subject is the payment. */
export const lookUpTimer = "presumedPaymentLookUp";

/** The gateway gave no answer that can be trusted: what it did is unknown. */
export function isUnanswered(error: unknown): boolean {
  return error instanceof Error && "kind" in error && error.kind === "transient";
}

/**
 * The gateway was asked for a payment and did not answer, whether it did it or not. Within the limits a service's
 * payment is presumed to have succeeded, and the service delivered (FA4); any other waits until it is known.
 */
export async function presumePayment(
  context: Context,
  tx: Transaction,
  limits: PresumptionLimits,
  paymentId: string,
): Promise<PresumptionDecision["kind"]> {
  const payment = await lockPayment(tx, paymentId);
  // A webhook's look-up may have been quicker than the time-out.
  if (payment.status !== "pending") return "waits";
  const decision = await decide(tx, payment, limits);
  if (decision.kind === "waits") {
    await recordWaiting(context, tx, payment, decision);
    return "waits";
  }
  const now = context.clock.now();
  const plan = planReconciliation(now.getTime());
  const reconcileBy = new Date(plan.reconcileByMs);
  await tx
    .updateTable("payments")
    .set({ status: "presumed", waits_because: null })
    .where("id", "=", payment.id)
    .execute();
  await tx
    .insertInto("presumptions")
    .values({
      payment_id: payment.id,
      customer_id: payment.customer_id,
      amount_cents: payment.amount_cents,
      presumed_at: now,
      reconcile_by: reconcileBy,
    })
    .execute();
  await postToLedger(context, tx, payment, "paymentPresumed");
  await setTimers(tx, lookUpTimer, [
    { subjectId: payment.id, dueAt: new Date(planNextLookUp(plan, now.getTime())) },
  ]);
  await context.publish(tx, "servicePaymentPresumed", [
    {
      activationId: activationOf(payment),
      paymentId: payment.id,
      reconcileBy,
    },
  ]);
  return "presumed";
}

async function decide(
  tx: Transaction,
  payment: Payment,
  limits: PresumptionLimits,
): Promise<PresumptionDecision> {
  const past = await tx
    .selectFrom("payments")
    .where("customer_id", "=", payment.customer_id)
    .where("method", "=", "card")
    .where("status", "=", "captured")
    .select("id")
    .limit(1)
    .execute();
  const chargeBacks = await tx
    .selectFrom("charge_backs")
    .innerJoin("payments", "payments.id", "charge_backs.payment_id")
    .where("payments.customer_id", "=", payment.customer_id)
    .select("charge_backs.payment_id")
    .execute();
  const decision = decidePresumption(
    {
      kind: payment.kind,
      wanted: payment.settlement !== "void",
      amountCents: payment.amount_cents,
      earlierCaptures: past.length,
      chargeBacks: chargeBacks.length,
      ...(await readExposure(tx, payment.customer_id)),
    },
    limits,
  );
  if (decision.kind === "waits") return decision;
  // What was read may be old by now: the caps are decided by whoever gets through this.
  const taken = await takeExposure(
    tx,
    { customerId: payment.customer_id, amountCents: payment.amount_cents },
    limits,
  );
  return taken.kind === "taken"
    ? decision
    : { kind: "waits", rule: taken.rule, reason: presumptionRules[taken.rule].refusal };
}

/** Said once for each reason, however often the gateway is asked in vain. */
async function recordWaiting(
  context: Context,
  tx: Transaction,
  payment: Payment,
  { rule, reason }: Extract<PresumptionDecision, { kind: "waits" }>,
): Promise<void> {
  if (payment.waits_because === rule) return;
  await tx.updateTable("payments").set({ waits_because: rule }).where("id", "=", payment.id).execute();
  if (payment.kind === "service" && payment.settlement !== "void")
    await context.publish(tx, "servicePaymentAwaited", [
      {
        activationId: activationOf(payment),
        paymentId: payment.id,
        rule,
        reason,
      },
    ]);
}
