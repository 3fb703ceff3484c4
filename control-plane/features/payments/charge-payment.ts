import type { Context } from "../../lifecycle/context.ts";
import type { GatewayPayment } from "../../partners/payment-gateway.ts";
import { isWorthLookingUp, undecidedStatuses } from "../../rules/payment-machine.ts";
import type { PresumptionLimits } from "../../rules/presumption-policy.ts";
import { passFailpoint } from "../../store/failpoints.ts";
import type { PaymentWork } from "./batches.ts";
import type { Payment } from "./payment.ts";
import { presumePayment } from "./service/presume.ts";

/**
 * Asks the gateway for the money of a pending payment, or for its hold, and records what it says. Runs at least
 * once: our id is the idempotency key of every try, and a try that follows another first looks up, by the same id,
 * what that one may have done, because the gateway forgets keys after a day. A payment that may be presumed is
 * handed over to its own look-ups.
 *
 * @throws PartnerUnavailable when the outcome is not known and the payment waits; nothing is published until it is known
 */
export async function chargePayment(
  work: PaymentWork,
  limits: PresumptionLimits,
  paymentId: string,
  attempt: number,
): Promise<void> {
  const { context, batches } = work;
  const payment = await batches.read(paymentId);
  if (payment.status !== "pending") return;
  passFailpoint("hold-not-yet-asked");
  let answer: GatewayPayment;
  try {
    answer = await askGateway(work, payment, attempt);
  } catch (error) {
    if (!isUnanswered(error)) throw error;
    const verdict = await context.db
      .transaction()
      .execute((tx) => presumePayment(context, tx, limits, paymentId));
    if (verdict === "waits") throw error;
    return;
  }
  passFailpoint("hold-made-before-recorded");
  await batches.record({ paymentId, answer });
}

/** The gateway gave no answer that can be trusted: what it did is unknown. */
export function isUnanswered(error: unknown): boolean {
  return error instanceof Error && "kind" in error && error.kind === "transient";
}

async function askGateway(work: PaymentWork, payment: Payment, attempt: number): Promise<GatewayPayment> {
  if (attempt > 1) {
    const known = await work.gateway.findByReference(payment.id, payment.amount_cents);
    if (known !== null) return known;
  } else if (payment.settlement === "void") {
    // The gateway has not been asked yet, and the hold is not wanted any more.
    return { status: "invalid", reason: "cancelledBeforeUse" };
  }
  return payAtGateway(work, payment);
}

/** The one request for a payment's money: the same one, with the same key, however often it is made. */
export async function payAtGateway(
  { context, gateway }: PaymentWork,
  payment: Payment,
): Promise<GatewayPayment> {
  if (payment.payment_method === null) throw new Error(`payment ${payment.id} has no card to charge`);
  const { description, metadata } = await describePurpose(context, payment);
  return gateway.pay({
    reference: payment.id,
    amountCents: payment.amount_cents,
    currency: payment.currency,
    paymentMethod: payment.payment_method,
    mode: payment.kind === "service" ? "hold" : "charge",
    description,
    metadata: { kind: payment.kind, customer: payment.customer_id, ...metadata },
  });
}

async function describePurpose(
  context: Context,
  payment: Payment,
): Promise<{ description: string; metadata: Record<string, string> }> {
  const { kind, activation_id: activation } = payment;
  if (activation !== null) return { description: `Service ${activation}`, metadata: { activation } };
  const { reference } = await context.db
    .selectFrom("expedientes")
    .where("id", "=", payment.expediente_id)
    .select("reference")
    .executeTakeFirstOrThrow();
  const what = kind === "final" ? "Final payment" : "Reservation";
  return { description: `${what} ${reference}`, metadata: { expediente: reference } };
}

/**
 * Asks the gateway how a payment stands, after its webhook said that something happened: by the id that we stored, and
 * where we know none by our reference.
 */
export async function reconcilePayment(
  { batches, gateway }: PaymentWork,
  { paymentId }: { paymentId: string },
): Promise<void> {
  const payment = await batches.read(paymentId);
  if (!isWorthLookingUp(payment)) return;
  const { gateway_payment_id: gatewayPaymentId } = payment;
  const answer =
    gatewayPaymentId === null
      ? await gateway.findByReference(paymentId, payment.amount_cents)
      : await gateway.retrieve(gatewayPaymentId);
  // Not found yet: the payment's own job or look-up goes on asking.
  if (answer !== null) await batches.record({ paymentId, answer });
}

/** What was given back or taken back was captured: if we have not heard of the capture, this is when we do. The gateway's id. */
export async function hearOfCapture(
  { batches, gateway }: PaymentWork,
  paymentId: string,
): Promise<string | null> {
  const { status, gateway_payment_id: gatewayPaymentId } = await batches.read(paymentId);
  if (gatewayPaymentId !== null && undecidedStatuses.some((undecided) => undecided === status))
    await batches.record({ paymentId, answer: await gateway.retrieve(gatewayPaymentId) });
  return gatewayPaymentId;
}
