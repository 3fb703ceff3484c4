import type { Context } from "../../lifecycle/context.ts";
import type { GatewayPayment } from "../../partners/payment-gateway.ts";
import type { Transaction } from "../../store/database.ts";
import { enqueue } from "../../store/jobs.ts";
import { lockPayment, type Payment, releaseStrayJob } from "./payment-row.ts";
import { recordPresumedOutcome } from "./record-presumed-outcome.ts";
import { recordDepositReceived, recordFinalDeclined, recordPaymentNotMade } from "./sale-payments.ts";
import {
  recordHold,
  recordHoldLost,
  recordHoldReleased,
  recordServiceCaptured,
  recordServiceDeclined,
} from "./service-payments.ts";

/**
 * Records how a payment stands at the gateway, whoever found out: the answer to our own call, a later look-up, or a
 * webhook. Each outcome has its effects once; hearing it again changes nothing.
 */
export async function recordOutcome(
  context: Context,
  tx: Transaction,
  paymentId: string,
  outcome: GatewayPayment,
): Promise<void> {
  const payment = await lockPayment(tx, paymentId);
  switch (payment.status) {
    case "pending":
      return recordFirstOutcome(context, tx, payment, outcome);
    case "presumed":
      return recordPresumedOutcome(context, tx, payment, outcome);
    case "authorised":
      return recordEndOfHold(context, tx, payment, outcome);
    case "declined":
    case "voided":
      if (outcome.status === "captured") await reportContradiction(context, tx, payment, outcome.status);
      // Nobody is waiting for it any more, and a hold that nobody knows would stand for a week.
      if (outcome.status === "held")
        await enqueue(tx, releaseStrayJob, [
          { payload: { paymentId, gatewayPaymentId: outcome.gatewayPaymentId } },
        ]);
      return;
    case "captured":
    case "recorded":
    case "refunded":
    case "chargedBack":
      return;
  }
}

async function recordFirstOutcome(
  context: Context,
  tx: Transaction,
  payment: Payment,
  outcome: GatewayPayment,
): Promise<void> {
  switch (outcome.status) {
    case "captured": {
      const captured = await settle(context, tx, payment, "captured", {
        gateway_payment_id: outcome.gatewayPaymentId,
      });
      return payment.kind === "service"
        ? recordServiceCaptured(context, tx, captured)
        : recordDepositReceived(context, tx, captured);
    }
    case "held":
      if (payment.kind !== "service") throw new Error(`payment ${payment.id} is held instead of charged`);
      return recordHold(context, tx, payment, outcome);
    case "declined":
    case "released":
    case "invalid": {
      const reason = outcome.status === "released" ? "released" : outcome.reason;
      if (payment.kind === "service") return recordServiceDeclined(context, tx, payment, reason);
      const declined = await settle(context, tx, payment, "declined", {
        decline_reason: reason,
        gateway_payment_id: "gatewayPaymentId" in outcome ? outcome.gatewayPaymentId : null,
      });
      // A card that does not exist is a slip of the pen: the bank was not asked, so nobody loses a car by it.
      return payment.kind === "final" && outcome.status !== "invalid"
        ? recordFinalDeclined(context, tx, declined, reason)
        : recordPaymentNotMade(context, tx, declined, reason);
    }
  }
}

async function recordEndOfHold(
  context: Context,
  tx: Transaction,
  payment: Payment,
  outcome: GatewayPayment,
): Promise<void> {
  switch (outcome.status) {
    case "held":
      return;
    case "captured":
      if (payment.settlement === "void") await reportContradiction(context, tx, payment, outcome.status);
      return recordServiceCaptured(context, tx, await settle(context, tx, payment, "captured", {}));
    case "released":
      return payment.settlement === "void"
        ? recordHoldReleased(context, tx, payment)
        : recordHoldLost(context, tx, payment, "lapsed");
    case "declined":
    case "invalid":
      return recordHoldLost(context, tx, payment, outcome.reason);
  }
}

async function settle(
  context: Context,
  tx: Transaction,
  payment: Payment,
  status: "captured" | "declined",
  more: { gateway_payment_id?: string | null; decline_reason?: string },
): Promise<Payment> {
  return tx
    .updateTable("payments")
    .set({ ...more, status, settled_at: context.clock.now() })
    .where("id", "=", payment.id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Money was taken where we had said that none would be: a person must give it back. */
async function reportContradiction(
  context: Context,
  tx: Transaction,
  payment: Payment,
  atGateway: string,
): Promise<void> {
  context.logger.error({ payment: payment.id, ours: payment.status, atGateway }, "payments contradict");
  await context.publish(tx, "taskNeeded", [
    {
      kind: "paymentContradiction",
      detail: { paymentId: payment.id, ours: payment.status, atGateway, amountCents: payment.amount_cents },
      subject: {
        paymentId: payment.id,
        ...(payment.expediente_id === null ? {} : { expedienteId: payment.expediente_id }),
        ...(payment.activation_id === null ? {} : { activationId: payment.activation_id }),
      },
    },
  ]);
}
