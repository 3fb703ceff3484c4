import type { Context } from "../../../lifecycle/context.ts";
import type { GatewayRefund } from "../../../partners/payment-gateway.ts";
import type { Transaction } from "../../../store/database.ts";
import { newId } from "../../../store/ids.ts";
import { enqueue } from "../../../store/jobs.ts";
import { clearTimers } from "../../../store/timers.ts";
import type { PaymentWork } from "../batches.ts";
import { hearOfCapture } from "../charge-payment.ts";
import type { Part } from "../effect.ts";
import { hear } from "../hear.ts";
import { reconcileRefundsJob } from "../jobs.ts";
import { lockPayments, type Payment, paymentOf } from "../payment-rows.ts";
import { newRefund, recordRefunded, refundLookUpTimer, setAside, setRefundLookUp } from "./refunds.ts";

// Refunds as the gateway knows them: made in its own screens, or sent back by the customer's bank days later.

/** Brings our refunds of a payment up to the gateway's, each once. @throws PartnerUnavailable: try again */
export async function reconcileRefunds(work: PaymentWork, paymentId: string): Promise<void> {
  const { context, gateway } = work;
  const gatewayPaymentId = await hearOfCapture(work, paymentId);
  if (gatewayPaymentId === null) return;
  for (const refund of await gateway.listRefunds(gatewayPaymentId))
    await context.db.transaction().execute((tx) => recordGatewayRefund(context, tx, paymentId, refund));
}

async function recordGatewayRefund(
  context: Context,
  tx: Transaction,
  paymentId: string,
  refund: GatewayRefund,
): Promise<void> {
  const payment = paymentOf(await lockPayments(tx, [paymentId]), paymentId);
  const { reference, gatewayRefundId } = refund;
  const all = await tx
    .selectFrom("refunds")
    .where("payment_id", "=", paymentId)
    .select(["id", "gateway_refund_id", "status", "amount_cents as amountCents"])
    .execute();
  const known = all.find((one) => one.id === reference || one.gateway_refund_id === gatewayRefundId);
  if (known === undefined && refund.status === "made") await recordForeign(context, tx, payment, refund);
  // One that is still being asked for is recorded by its own job.
  if (known?.status === "done" && refund.status === "failed")
    await takeBack(context, tx, payment, known, refund.failureReason);
}

/** Made by a person in the gateway's own screens. */
async function recordForeign(
  context: Context,
  tx: Transaction,
  payment: Payment,
  { gatewayRefundId, amountCents }: GatewayRefund,
): Promise<void> {
  const part = { id: newId(), amountCents, reason: "refunded at the gateway" };
  await tx
    .insertInto("refunds")
    .values({
      ...newRefund(context, payment, part),
      status: "done",
      gateway_refund_id: gatewayRefundId,
      requested_by: null,
      settled_at: context.clock.now(),
    })
    .execute();
  await recordRefunded(context, tx, payment, part, setAside(payment, amountCents));
}

/** The customer's bank did not take it: the money is ours again, and the customer has none. */
async function takeBack(
  context: Context,
  tx: Transaction,
  payment: Payment,
  { id, amountCents }: Pick<Part, "id" | "amountCents">,
  failureReason: string | null,
): Promise<void> {
  await tx.updateTable("refunds").set({ status: "failed" }).where("id", "=", id).execute();
  await clearTimers(tx, refundLookUpTimer, [id]);
  const part = { id, amountCents, reason: failureReason ?? "the customer's bank did not take it" };
  await hear(context, tx, [{ payment, heard: "refundFailed", part, set: setAside(payment, -amountCents) }]);
}

/** Has the gateway asked again about a refund that was made, and sets the next look-up of it. */
export async function lookUpRefund(context: Context, tx: Transaction, refundId: string): Promise<void> {
  const refund = await tx
    .selectFrom("refunds")
    .where("id", "=", refundId)
    .select(["payment_id as paymentId", "status", "settled_at as madeAt"])
    .executeTakeFirstOrThrow();
  const { paymentId, status, madeAt } = refund;
  if (status !== "done" || madeAt === null) return;
  await enqueue(tx, reconcileRefundsJob, [{ payload: { paymentId }, key: `reconcileRefunds:${paymentId}` }]);
  await setRefundLookUp(context, tx, refundId, madeAt);
}
