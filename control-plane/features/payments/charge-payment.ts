import type { Context } from "../../lifecycle/context.ts";
import type { GatewayPayment, PaymentGateway } from "../../partners/payment-gateway.ts";
import type { PresumptionLimits } from "../../rules/presumption-policy.ts";
import { passFailpoint } from "../../store/failpoints.ts";
import type { PaymentDesk } from "./payment-desk.ts";
import type { Payment } from "./payment-row.ts";
import { isUnanswered, presumePayment } from "./presume-payment.ts";

/**
 * Asks the gateway for the money of a pending payment, or for its hold, and records what it says. Runs at least
 * once: our id is the idempotency key of every try, and a try that follows another first looks up, by the same id,
 * what that one may have done, because the gateway forgets keys after a day. A payment that may be presumed is
 * handed over to its own look-ups.
 *
 * @throws PartnerUnavailable when the outcome is not known and the payment waits; nobody is told anything until it is
 */
export async function chargePayment(
  context: Context,
  desk: PaymentDesk,
  gateway: PaymentGateway,
  limits: PresumptionLimits,
  paymentId: string,
  attempt: number,
): Promise<void> {
  const payment = await desk.read(paymentId);
  if (payment.status !== "pending") return;
  passFailpoint("hold-not-yet-asked");
  let outcome: GatewayPayment;
  try {
    outcome = await askGateway(context, gateway, payment, attempt);
  } catch (error) {
    if (!isUnanswered(error)) throw error;
    const verdict = await context.db
      .transaction()
      .execute((tx) => presumePayment(context, tx, limits, paymentId));
    if (verdict === "waits") throw error;
    return;
  }
  passFailpoint("hold-made-before-recorded");
  await desk.record(paymentId, outcome);
}

async function askGateway(
  context: Context,
  gateway: PaymentGateway,
  payment: Payment,
  attempt: number,
): Promise<GatewayPayment> {
  if (attempt > 1) {
    const known = await gateway.findByReference(payment.id);
    if (known !== null) return known;
  } else if (payment.settlement === "void") {
    // Nobody has asked the gateway yet, and nobody wants the hold any more.
    return { status: "invalid", reason: "cancelledBeforeUse" };
  }
  return payAtGateway(context, gateway, payment);
}

/** The one request for a payment's money: the same one, with the same key, however often it is made. */
export async function payAtGateway(
  context: Context,
  gateway: PaymentGateway,
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
    metadata,
  });
}

async function describePurpose(
  context: Context,
  payment: Payment,
): Promise<{ description: string; metadata: Record<string, string> }> {
  const base = { kind: payment.kind, customer: payment.customer_id };
  if (payment.activation_id !== null)
    return {
      description: `Service ${payment.activation_id}`,
      metadata: { ...base, activation: payment.activation_id },
    };
  if (payment.expediente_id === null) throw new Error(`payment ${payment.id} is about nothing`);
  const { reference } = await context.db
    .selectFrom("expedientes")
    .where("id", "=", payment.expediente_id)
    .select("reference")
    .executeTakeFirstOrThrow();
  const what = payment.kind === "final" ? "Final payment" : "Reservation";
  return { description: `${what} ${reference}`, metadata: { ...base, expediente: reference } };
}

/** Where the gateway may know more than we do; a payment that ended may turn out to be held or taken all the same. */
const statusesToAskAbout: readonly Payment["status"][] = [
  "pending",
  "presumed",
  "authorised",
  "declined",
  "voided",
];

/** Asks the gateway how a payment stands, after its webhook said that something happened. */
export async function reconcilePayment(
  desk: PaymentDesk,
  gateway: PaymentGateway,
  asked: { paymentId: string; gatewayPaymentId: string },
): Promise<void> {
  const payment = await desk.read(asked.paymentId);
  if (!statusesToAskAbout.includes(payment.status)) return;
  const outcome = await gateway.retrieve(asked.gatewayPaymentId);
  await desk.record(asked.paymentId, outcome);
}
