import type { Context } from "../../lifecycle/context.ts";
import type { GatewayDispute, PaymentGateway } from "../../partners/payment-gateway.ts";
import type { Transaction } from "../../store/database.ts";
import { postToLedger } from "./ledger.ts";
import { lockPayment, type Payment, readPayment } from "./payment-row.ts";
import type { LedgerKind } from "./postings.ts";
import { recordOutcome } from "./record-outcome.ts";
import { activationOf } from "./service-payments.ts";

// A customer's bank takes back what was captured (FA5). The message about it is a doorbell as any other: the gateway
// is asked for the disputes of the payment as they are now, so repeated and reordered messages say the same thing.

/** @throws PartnerUnavailable: try again */
export async function reconcileChargeBacks(
  context: Context,
  gateway: PaymentGateway,
  paymentId: string,
): Promise<void> {
  const payment = await readPayment(context.db, paymentId);
  const { gateway_payment_id: gatewayPaymentId } = payment;
  if (gatewayPaymentId === null) return;
  // Only what was captured is charged back: if we have not heard of the capture, this is when we do.
  if (payment.status === "pending" || payment.status === "presumed" || payment.status === "authorised") {
    const outcome = await gateway.retrieve(gatewayPaymentId);
    await context.db.transaction().execute((tx) => recordOutcome(context, tx, paymentId, outcome));
  }
  for (const dispute of await gateway.listDisputes(gatewayPaymentId))
    await context.db.transaction().execute((tx) => recordDispute(context, tx, paymentId, dispute));
}

/** Records how a dispute stands; hearing it again changes nothing. */
export async function recordDispute(
  context: Context,
  tx: Transaction,
  paymentId: string,
  dispute: GatewayDispute,
): Promise<void> {
  // The bank only asks: no money has moved, and perhaps none will.
  if (dispute.status === "inquiry") return;
  const payment = await lockPayment(tx, paymentId);
  const known = await tx
    .selectFrom("charge_backs")
    .where("gateway_dispute_id", "=", dispute.gatewayDisputeId)
    .select("status")
    .executeTakeFirst();
  if (known === undefined) await open(context, tx, payment, dispute);
  const before = known?.status ?? "open";
  if (before === "open" && dispute.status !== "open")
    await close(context, tx, await lockPayment(tx, paymentId), dispute, dispute.status);
}

async function open(
  context: Context,
  tx: Transaction,
  payment: Payment,
  dispute: GatewayDispute,
): Promise<void> {
  await tx
    .insertInto("charge_backs")
    .values({
      gateway_dispute_id: dispute.gatewayDisputeId,
      payment_id: payment.id,
      amount_cents: dispute.amountCents,
      reason: dispute.reason,
      status: "open",
      opened_at: context.clock.now(),
    })
    .execute();
  await tx.updateTable("payments").set({ status: "chargedBack" }).where("id", "=", payment.id).execute();
  await post(context, tx, payment, dispute, { earned: "chargedBack", owed: "depositChargedBack" });
  await context.publish(tx, "taskNeeded", [
    {
      kind: "chargeBack",
      detail: { paymentId: payment.id, amountCents: dispute.amountCents, reason: dispute.reason },
      subject: subjectOf(payment),
    },
  ]);
  // Won already when it is first heard of: the money is back, so nothing is withdrawn.
  if (payment.kind === "service" && dispute.status !== "won")
    await context.publish(tx, "servicePaymentChargedBack", [
      {
        activationId: activationOf(payment),
        paymentId: payment.id,
        amountCents: dispute.amountCents,
        reason: dispute.reason,
      },
    ]);
}

async function close(
  context: Context,
  tx: Transaction,
  payment: Payment,
  dispute: GatewayDispute,
  status: "won" | "lost",
): Promise<void> {
  await tx
    .updateTable("charge_backs")
    .set({ status, closed_at: context.clock.now() })
    .where("gateway_dispute_id", "=", dispute.gatewayDisputeId)
    .execute();
  if (status === "won") {
    await tx.updateTable("payments").set({ status: "captured" }).where("id", "=", payment.id).execute();
    await post(context, tx, payment, dispute, { earned: "chargeBackWon", owed: "depositChargeBackWon" });
    // The customer has paid after all and the service is gone: switch it on again, or give the money back?
    await context.publish(tx, "taskNeeded", [
      {
        kind: "chargeBackWon",
        detail: { paymentId: payment.id, amountCents: dispute.amountCents },
        subject: subjectOf(payment),
      },
    ]);
  }
  if (payment.kind === "service")
    await context.publish(tx, "serviceChargeBackClosed", [
      {
        activationId: activationOf(payment),
        paymentId: payment.id,
        amountCents: dispute.amountCents,
        status,
      },
    ]);
}

/** A deposit that is still owed to the customer is taken from what we owe; what is earned is our loss. */
async function post(
  context: Context,
  tx: Transaction,
  payment: Payment,
  dispute: GatewayDispute,
  kinds: { earned: LedgerKind; owed: LedgerKind },
): Promise<void> {
  const part = { ...payment, amount_cents: dispute.amountCents };
  const kind = (await isOwed(tx, payment)) ? kinds.owed : kinds.earned;
  await postToLedger(context, tx, part, kind, dispute.gatewayDisputeId);
}

/** Whether the money of a payment is a deposit that nobody has earned or forfeited yet. */
export async function isOwed(tx: Transaction, payment: Payment): Promise<boolean> {
  if (payment.kind === "service") return false;
  const earned = await tx
    .selectFrom("ledger_transactions")
    .where("payment_id", "=", payment.id)
    .where("kind", "in", ["depositEarned", "depositForfeited"])
    .select("id")
    .executeTakeFirst();
  return earned === undefined;
}

export function subjectOf(payment: Payment) {
  return {
    paymentId: payment.id,
    ...(payment.expediente_id === null ? {} : { expedienteId: payment.expediente_id }),
    ...(payment.activation_id === null ? {} : { activationId: payment.activation_id }),
  };
}
