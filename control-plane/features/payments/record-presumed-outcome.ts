import type { Context } from "../../lifecycle/context.ts";
import type { GatewayPayment } from "../../partners/payment-gateway.ts";
import type { Transaction } from "../../store/database.ts";
import { enqueue } from "../../store/jobs.ts";
import { clearTimers } from "../../store/timers.ts";
import { giveExposureBack } from "./exposure.ts";
import { postToLedger } from "./ledger.ts";
import { captureHoldJob, type Payment, releaseHoldJob } from "./payment-row.ts";
import { lookUpTimer } from "./presume-payment.ts";
import { activationOf, recordServiceCaptured } from "./service-payments.ts";

/** What a presumed payment turned out to be. `payment` is locked by the caller, so it is found out once. */
export async function recordPresumedOutcome(
  context: Context,
  tx: Transaction,
  payment: Payment,
  outcome: GatewayPayment,
): Promise<void> {
  switch (outcome.status) {
    case "held":
      return confirmHeld(context, tx, payment, outcome);
    case "captured":
      return confirmCaptured(context, tx, payment, outcome.gatewayPaymentId);
    case "released":
      return refute(context, tx, payment, "released", outcome.gatewayPaymentId);
    case "declined":
      return refute(context, tx, payment, outcome.reason, outcome.gatewayPaymentId);
    case "invalid":
      return refute(context, tx, payment, outcome.reason, null);
  }
}

async function confirmHeld(
  context: Context,
  tx: Transaction,
  payment: Payment,
  hold: Extract<GatewayPayment, { status: "held" }>,
): Promise<void> {
  const activationId = activationOf(payment);
  await closePresumption(context, tx, payment, "confirmed", null);
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
  if (payment.settlement === "void") return enqueue(tx, releaseHoldJob, [{ payload: { activationId } }]);
  await context.publish(tx, "servicePaymentConfirmed", [
    {
      activationId,
      paymentId: payment.id,
      captureBefore: hold.captureBefore,
    },
  ]);
  // The car has proved it already: what was waited for is only the hold.
  if (payment.settlement === "capture") await enqueue(tx, captureHoldJob, [{ payload: { activationId } }]);
}

/** Somebody took the money in the gateway's own screens: it is there, so nothing is left to presume. */
async function confirmCaptured(
  context: Context,
  tx: Transaction,
  payment: Payment,
  gatewayPaymentId: string,
): Promise<void> {
  await closePresumption(context, tx, payment, "confirmed", null);
  const captured = await tx
    .updateTable("payments")
    .set({ status: "captured", gateway_payment_id: gatewayPaymentId, settled_at: context.clock.now() })
    .where("id", "=", payment.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  await recordServiceCaptured(context, tx, captured);
}

/** There is no money, and there will be none: what was delivered on the presumption is taken back. */
async function refute(
  context: Context,
  tx: Transaction,
  payment: Payment,
  reason: string,
  gatewayPaymentId: string | null,
): Promise<void> {
  const isGivenUp = payment.settlement === "void";
  await closePresumption(context, tx, payment, isGivenUp ? "dropped" : "compensated", reason);
  await tx
    .updateTable("payments")
    .set({
      status: isGivenUp ? "voided" : "declined",
      decline_reason: reason,
      gateway_payment_id: gatewayPaymentId,
      settled_at: context.clock.now(),
    })
    .where("id", "=", payment.id)
    .execute();
  const about = { activationId: activationOf(payment), paymentId: payment.id };
  if (isGivenUp) await context.publish(tx, "servicePaymentVoided", [about]);
  else await context.publish(tx, "servicePaymentRefuted", [{ ...about, reason }]);
}

async function closePresumption(
  context: Context,
  tx: Transaction,
  payment: Payment,
  outcome: "confirmed" | "compensated" | "dropped",
  reason: string | null,
): Promise<void> {
  await tx
    .updateTable("presumptions")
    .set({ outcome, reason, settled_at: context.clock.now() })
    .where("payment_id", "=", payment.id)
    .where("outcome", "=", "open")
    .execute();
  await giveExposureBack(tx, { customerId: payment.customer_id, amountCents: payment.amount_cents });
  await postToLedger(context, tx, payment, "presumptionEnded");
  await clearTimers(tx, lookUpTimer, [payment.id]);
}
