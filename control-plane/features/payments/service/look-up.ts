import type { Context } from "../../../lifecycle/context.ts";
import type { GatewayPayment } from "../../../partners/payment-gateway.ts";
import {
  gatewaySilenceMs,
  isDecided,
  mayAskAgain,
  type Presumed,
  planNextLookUp,
} from "../../../rules/presumption-policy.ts";
import { setTimers } from "../../../store/timers.ts";
import type { PaymentWork } from "../batches.ts";
import { isUnanswered, payAgain, payAtGateway } from "../charge-payment.ts";
import { activationOf, type PaymentOfCustomer } from "../payment-rows.ts";
import { lookUpTimer } from "./presumptions.ts";

/** Until when (epoch ms, business time) the gateway is taken to be silent: shared by all look-ups of a process. */
export type Silence = { untilMs: number };

/**
 * Asks the gateway how a presumed payment stands. Within a day the same request is repeated with the same key, so
 * nothing is ever charged twice; towards the deadline it is only looked up, and what is not found then was never
 * made. A gateway that does not answer leaves everything as it is until the next look-up, and is left alone by the
 * others meanwhile.
 */
export async function lookUpPresumed(work: PaymentWork, silence: Silence, paymentId: string): Promise<void> {
  const { context, batches } = work;
  const payment = await batches.read(paymentId);
  if (payment.status !== "presumed") return;
  const presumed = await readPresumed(context, paymentId);
  const nowMs = context.clock.now().getTime();
  const isSilent = nowMs < silence.untilMs;
  // Set first: there is another look-up even if this one fails.
  const nextAt = new Date(isSilent ? silence.untilMs : planNextLookUp(presumed, nowMs));
  await context.db
    .transaction()
    .execute((tx) => setTimers(tx, lookUpTimer, [{ subjectId: paymentId, dueAt: nextAt }]));
  if (isSilent) return;
  const answer = await ask(work, payment, presumed, nowMs).catch((error: unknown) => {
    if (!isUnanswered(error)) throw error;
    silence.untilMs = nowMs + gatewaySilenceMs;
    context.logger.warn({ err: error, payment: paymentId }, "a presumed payment could not be looked up");
    return null;
  });
  if (answer !== null) await batches.record({ paymentId, answer });
}

async function ask(
  work: PaymentWork,
  payment: PaymentOfCustomer,
  presumed: Presumed,
  nowMs: number,
): Promise<GatewayPayment | null> {
  const { gateway } = work;
  const known = await gateway.findByReference(payment.id, payment.amount_cents);
  // No money is held for a purchase that was given up.
  const isWanted = payment.settlement !== "void";
  if (known?.status === "failedForNow" && isWanted && mayAskAgain(presumed, nowMs))
    return payAgain(work, payment, known);
  if (known?.status === "failedForNow") return { ...known, status: "declined" };
  if (known !== null) return known;
  if (isWanted && mayAskAgain(presumed, nowMs)) return payAtGateway(work, payment);
  if (!isDecided(presumed, nowMs, isWanted)) return null;
  const ofCustomer = await gateway.findAmongPayments({
    customer: payment.customer_id,
    activation: activationOf(payment),
  });
  return ofCustomer ?? { status: "declined", gatewayPaymentId: null, reason: "neverMade" };
}

async function readPresumed(context: Context, paymentId: string): Promise<Presumed> {
  const row = await context.db
    .selectFrom("presumptions")
    .where("payment_id", "=", paymentId)
    .select(["presumed_at", "reconcile_by"])
    .executeTakeFirstOrThrow();
  return { presumedAtMs: row.presumed_at.getTime(), reconcileByMs: row.reconcile_by.getTime() };
}
