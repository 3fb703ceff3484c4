import type { Context } from "../../lifecycle/context.ts";
import type { GatewayPayment } from "../../partners/payment-gateway.ts";
import { mostTries, readDecline } from "../../rules/decline-table.ts";
import { isWorthLookingUp, undecidedStatuses } from "../../rules/payment-machine.ts";
import type { PresumptionLimits } from "../../rules/presumption-policy.ts";
import { passFailpoint } from "../../store/failpoints.ts";
import type { PaymentWork } from "./batches.ts";
import type { Payment, PaymentOfCustomer } from "./payment-rows.ts";
import { presumePayment } from "./service/presume.ts";

/**
 * Asks the gateway for the money of a pending payment, or for its hold, and records what it says. Runs at least
 * once: our id is the idempotency key of every try, and a try that follows another first looks up, by the same id,
 * what that one may have done, because the gateway forgets keys after a day. A payment that may be presumed is
 * handed over to its own look-ups. One that failed for now is tried again, and ends unpaid after `mostTries`.
 *
 * @throws PartnerUnavailable when the outcome is not known and the payment waits; nothing is published until it is known
 * @throws NotNow: try again
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
    if (attempt === mostTries) await reportUnanswered(context, payment);
    if (!isUnanswered(error)) throw error;
    const verdict = await context.db
      .transaction()
      .execute((tx) => presumePayment(context, tx, limits, paymentId));
    if (verdict === "waits") throw error;
    return;
  }
  passFailpoint("hold-made-before-recorded");
  if (answer.status === "failedForNow") answer = giveUpFailed(payment, answer, attempt);
  await batches.record({ paymentId, answer });
}

type FailedForNow = Extract<GatewayPayment, { status: "failedForNow" }>;

/** Nobody said no to a payment, and it is not made: the job tries again after a while. */
class NotNow extends Error {
  constructor(paymentId: string, reason: string) {
    super(`payment ${paymentId} was not made for now: ${reason}`);
    this.name = "NotNow";
  }
}

/** After the last try it ends unpaid, which is no refusal. @throws NotNow before that */
function giveUpFailed(payment: Payment, failed: FailedForNow, attempt: number): GatewayPayment {
  const { gatewayPaymentId, reason } = failed;
  if (attempt < mostTries && payment.settlement !== "void") throw new NotNow(payment.id, reason);
  return { status: "invalid", reason, ...(gatewayPaymentId === null ? {} : { gatewayPaymentId }) };
}

/** Nobody knows whether the money was taken, and a car waits for it: the dealership looks at the gateway. */
async function reportUnanswered(
  context: Context,
  { id: paymentId, expediente_id: expedienteId, amount_cents: amountCents }: Payment,
): Promise<void> {
  if (expedienteId === null) return;
  const task = {
    kind: "paymentUnanswered" as const,
    detail: { paymentId, amountCents },
    subject: { expedienteId, paymentId },
  };
  await context.db.transaction().execute((tx) => context.publish(tx, "taskNeeded", [task]));
}

/** The gateway gave no answer that can be trusted: what it did is unknown. */
export function isUnanswered(error: unknown): boolean {
  return error instanceof Error && "kind" in error && error.kind === "transient";
}

async function askGateway(
  work: PaymentWork,
  payment: PaymentOfCustomer,
  attempt: number,
): Promise<GatewayPayment> {
  const { gateway_payment_id: gatewayPaymentId, settlement } = payment;
  if (attempt === 1 && gatewayPaymentId === null && settlement === "void")
    // The gateway has not been asked yet, and the hold is not wanted any more.
    return { status: "invalid", reason: "cancelledBeforeUse" };
  const known =
    gatewayPaymentId !== null
      ? await work.gateway.retrieve(gatewayPaymentId)
      : attempt > 1
        ? await work.gateway.findByReference(payment.id, payment.amount_cents)
        : null;
  const answer = known ?? (await payAtGateway(work, payment));
  const isLater = known !== null || attempt > 1;
  if (answer.status !== "failedForNow" || settlement === "void") return answer;
  // A bank that wants the customer to confirm is asked for its page at once.
  const isDue = isLater || readDecline(answer.reason).class === "confirm";
  return isDue ? payAgain(work, payment, answer) : answer;
}

/** One more try with the same payment at the gateway: it is made at most once. */
export async function payAgain(
  { gateway, returnUrl }: PaymentWork,
  { id, payment_method: paymentMethod }: Payment,
  failed: FailedForNow,
): Promise<GatewayPayment> {
  if (failed.gatewayPaymentId === null) return failed;
  if (paymentMethod === null) throw new Error(`payment ${id} has no card to charge`);
  return gateway.payAgain({
    gatewayPaymentId: failed.gatewayPaymentId,
    paymentMethod,
    returnUrl: returnUrl(),
  });
}

/** The one request for a payment's money: the same one, with the same key, however often it is made. */
export async function payAtGateway(
  { context, gateway, returnUrl }: PaymentWork,
  payment: PaymentOfCustomer,
): Promise<GatewayPayment> {
  if (payment.payment_method === null) throw new Error(`payment ${payment.id} has no card to charge`);
  const { description, metadata } = await describePurpose(context, payment);
  return gateway.pay({
    reference: payment.id,
    amountCents: payment.amount_cents,
    currency: payment.currency,
    paymentMethod: payment.payment_method,
    mode: payment.kind === "service" ? "hold" : "charge",
    customer: payment.gateway_customer_id,
    returnUrl: returnUrl(),
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
