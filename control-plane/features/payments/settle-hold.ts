import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { PaymentGateway } from "../../partners/payment-gateway.ts";
import type { Transaction } from "../../store/database.ts";
import { passFailpoint } from "../../store/failpoints.ts";
import type { PaymentDesk } from "./payment-desk.ts";
import { lockPaymentOfActivation, lockPaymentsOfActivations, type Payment } from "./payment-row.ts";
import { recordOutcome } from "./record-outcome.ts";
import { reportUnpaidService } from "./service-payments.ts";

// The end of a hold. Whether it is taken or let go is decided once, under the payment's lock, before the gateway
// is asked: whoever comes second finds the decision and leaves it.

export type Hold = { paymentId: string; gatewayPaymentId: string };

/** Takes the money held for an activation, on the car's proof. @throws PartnerUnavailable: try again */
export async function captureHold(
  desk: PaymentDesk,
  gateway: PaymentGateway,
  activationId: string,
): Promise<void> {
  const hold = await desk.decideCapture(activationId);
  if (hold === null) return;
  passFailpoint("capture-decided-before-asked");
  const outcome = await gateway.capture(hold.gatewayPaymentId, hold.paymentId);
  passFailpoint("capture-made-before-recorded");
  await desk.record(hold.paymentId, outcome);
}

/** Of each activation, in the order asked for: what is to be taken now, `null` where nothing is. */
export async function decideCaptures(
  context: Context,
  tx: Transaction,
  activationIds: readonly string[],
): Promise<(Hold | null)[]> {
  const payments = await lockPaymentsOfActivations(tx, activationIds);
  const byActivation = new Map(payments.map((payment) => [payment.activation_id, payment]));
  const isPlain = ({ status, settlement }: Payment) => status === "authorised" && settlement !== "void";
  const first = payments.filter((payment) => isPlain(payment) && payment.settlement === null);
  if (first.length > 0)
    await tx
      .updateTable("payments")
      .set({ settlement: "capture" })
      .where(sql<boolean>`id = any(${first.map(({ id }) => id)}::uuid[])`)
      .execute();
  const holds: (Hold | null)[] = [];
  for (const activationId of activationIds) {
    const payment = byActivation.get(activationId);
    if (payment === undefined) throw new Error(`activation ${activationId} has no payment to capture`);
    holds.push(isPlain(payment) ? toHold(payment) : await decideCapture(context, tx, payment));
  }
  return holds;
}

async function decideCapture(context: Context, tx: Transaction, payment: Payment): Promise<Hold | null> {
  if (payment.status === "captured") return null;
  if (payment.settlement === "void") {
    context.logger.error({ payment: payment.id }, "a capture came after the hold was let go");
    return null;
  }
  const isFirst = payment.settlement === null;
  if (isFirst) await setSettlement(tx, payment, "capture");
  if (payment.status === "pending") throw new Error(`payment ${payment.id} is proved before it is held`);
  // Whoever finds out that it is held finds the decision and takes the money.
  if (payment.status === "presumed") return null;
  if (payment.status !== "authorised") {
    if (isFirst) await reportUnpaidService(context, tx, payment, payment.decline_reason ?? payment.status);
    return null;
  }
  return toHold(payment);
}

/** Lets go what is held for an activation, or makes sure that nothing will be. @throws PartnerUnavailable: try again */
export async function releaseHold(
  context: Context,
  gateway: PaymentGateway,
  activationId: string,
): Promise<void> {
  const hold = await context.db.transaction().execute((tx) => decideRelease(context, tx, activationId));
  if (hold === null) return;
  passFailpoint("release-decided-before-asked");
  const outcome = await gateway.release(hold.gatewayPaymentId, hold.paymentId);
  passFailpoint("release-made-before-recorded");
  await context.db.transaction().execute((tx) => recordOutcome(context, tx, hold.paymentId, outcome));
}

async function decideRelease(context: Context, tx: Transaction, activationId: string): Promise<Hold | null> {
  const payment = await lockPaymentOfActivation(tx, activationId);
  if (payment === undefined) {
    await context.publish(tx, "servicePaymentVoided", [{ activationId, paymentId: null }]);
    return null;
  }
  if (payment.settlement === "capture") {
    context.logger.error({ payment: payment.id }, "a release came after the capture was decided");
    return null;
  }
  if (payment.settlement === null) await setSettlement(tx, payment, "void");
  switch (payment.status) {
    case "pending":
    case "presumed":
      // The bank is being asked: whoever records its answer finds the decision and lets the hold go.
      return null;
    case "authorised":
      return toHold(payment);
    case "declined":
    case "voided":
      await context.publish(tx, "servicePaymentVoided", [{ activationId, paymentId: payment.id }]);
      return null;
    case "captured":
    case "recorded":
    case "refunded":
    case "chargedBack":
      throw new Error(`payment ${payment.id} is ${payment.status}: releasing would need a refund`);
  }
}

/** A hold that was found after its payment had ended. @throws PartnerUnavailable: try again */
export async function releaseStray(
  context: Context,
  gateway: PaymentGateway,
  stray: { paymentId: string; gatewayPaymentId: string },
): Promise<void> {
  const outcome = await gateway.release(stray.gatewayPaymentId, stray.paymentId);
  context.logger.warn({ payment: stray.paymentId, now: outcome.status }, "a stray hold was let go");
  await context.db.transaction().execute((tx) => recordOutcome(context, tx, stray.paymentId, outcome));
}

async function setSettlement(tx: Transaction, payment: Payment, settlement: "capture" | "void") {
  await tx.updateTable("payments").set({ settlement }).where("id", "=", payment.id).execute();
}

function toHold(payment: Payment): Hold {
  if (payment.gateway_payment_id === null) throw new Error(`payment ${payment.id} is held nowhere`);
  return { paymentId: payment.id, gatewayPaymentId: payment.gateway_payment_id };
}
