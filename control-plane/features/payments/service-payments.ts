import type { Context } from "../../lifecycle/context.ts";
import type { GatewayPayment } from "../../partners/payment-gateway.ts";
import type { Transaction } from "../../store/database.ts";
import { enqueue } from "../../store/jobs.ts";
import { postToLedger } from "./ledger.ts";
import { type Payment, releaseHoldJob } from "./payment-row.ts";

// Hold, prove, capture: a service's price is held first and taken only on the car's proof.

export async function recordHold(
  context: Context,
  tx: Transaction,
  payment: Payment,
  hold: Extract<GatewayPayment, { status: "held" }>,
): Promise<void> {
  await tx
    .updateTable("payments")
    .set({
      status: "authorised",
      gateway_payment_id: hold.gatewayPaymentId,
      capture_before: hold.captureBefore,
    })
    .where("id", "=", payment.id)
    .execute();
  await postToLedger(context, tx, payment, "holdPlaced");
  const activationId = activationOf(payment);
  // Given up while the bank was being asked: what it held is let go, and nobody is told that it stands.
  if (payment.settlement === "void") return enqueue(tx, releaseHoldJob, [{ payload: { activationId } }]);
  await context.publish(tx, "servicePaymentAuthorised", [
    {
      activationId,
      paymentId: payment.id,
      captureBefore: hold.captureBefore,
    },
  ]);
}

export async function recordServiceDeclined(
  context: Context,
  tx: Transaction,
  payment: Payment,
  reason: string,
): Promise<void> {
  const activationId = activationOf(payment);
  const isVoided = payment.settlement === "void";
  await end(context, tx, payment, isVoided ? "voided" : "declined", reason);
  if (isVoided) await context.publish(tx, "servicePaymentVoided", [{ activationId, paymentId: payment.id }]);
  else await context.publish(tx, "servicePaymentDeclined", [{ activationId, paymentId: payment.id, reason }]);
}

/** `payment` is captured already; this is what follows from it. */
export async function recordServiceCaptured(
  context: Context,
  tx: Transaction,
  payment: Payment,
): Promise<void> {
  const activationId = activationOf(payment);
  // Captured without a hold we ever saw: the pair is posted first, so the memo accounts end at zero.
  await postToLedger(context, tx, payment, "holdPlaced");
  await postToLedger(context, tx, payment, "serviceCaptured");
  await context.publish(tx, "notificationDue", [
    {
      row: "NT5",
      subject: { activationId, paymentId: payment.id },
    },
  ]);
  await context.publish(tx, "servicePaymentCaptured", [{ activationId, paymentId: payment.id }]);
}

export async function recordHoldReleased(context: Context, tx: Transaction, payment: Payment): Promise<void> {
  await end(context, tx, payment, "voided", null);
  await postToLedger(context, tx, payment, "holdReleased");
  await context.publish(tx, "servicePaymentVoided", [
    {
      activationId: activationOf(payment),
      paymentId: payment.id,
    },
  ]);
}

/** The hold is gone and we did not let it go: it lapsed, or the bank refused to pay what it had held. */
export async function recordHoldLost(
  context: Context,
  tx: Transaction,
  payment: Payment,
  reason: string,
): Promise<void> {
  await end(context, tx, payment, reason === "lapsed" ? "voided" : "declined", reason);
  await postToLedger(context, tx, payment, "holdReleased");
  if (payment.settlement === "capture") await reportUnpaidService(context, tx, payment, reason);
}

/** A proved service that nobody paid: it is withdrawn (a late decline), and support hears of it. */
export async function reportUnpaidService(
  context: Context,
  tx: Transaction,
  payment: Payment,
  reason: string,
): Promise<void> {
  await context.publish(tx, "taskNeeded", [
    {
      kind: "captureFailed",
      detail: { paymentId: payment.id, amountCents: payment.amount_cents, reason },
      subject: { activationId: activationOf(payment), paymentId: payment.id },
    },
  ]);
  await context.publish(tx, "servicePaymentLost", [
    {
      activationId: activationOf(payment),
      paymentId: payment.id,
      reason,
    },
  ]);
}

async function end(
  context: Context,
  tx: Transaction,
  payment: Payment,
  status: "voided" | "declined",
  reason: string | null,
): Promise<void> {
  await tx
    .updateTable("payments")
    .set({ status, decline_reason: reason, settled_at: context.clock.now() })
    .where("id", "=", payment.id)
    .execute();
}

export function activationOf(payment: Payment): string {
  if (payment.activation_id === null) throw new Error(`payment ${payment.id} belongs to no activation`);
  return payment.activation_id;
}
