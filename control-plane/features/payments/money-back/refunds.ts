import { type Refusal, refuse } from "../../../http/refusal.ts";
import type { Context } from "../../../lifecycle/context.ts";
import type { RefundAnswer } from "../../../partners/payment-gateway.ts";
import { decidePayment } from "../../../rules/payment-machine.ts";
import { planRefundLookUp } from "../../../rules/refund-look-ups.ts";
import type { Transaction } from "../../../store/database.ts";
import { newId } from "../../../store/ids.ts";
import { setTimers } from "../../../store/timers.ts";
import type { PaymentWork } from "../batches.ts";
import type { Part } from "../effect.ts";
import { hear } from "../hear.ts";
import { lockPayments, type Payment, paidCentsOf, paymentOf } from "../payment-rows.ts";

// Money that is given back. How much is left is decided under the payment's lock before the gateway is asked, so two
// refunds at the same time can never give back more than was captured; the table's own check refuses it, too.

export type RefundRequest = { amountCents: number; reason: string; requestedBy: string };

/** Gives back a part of a captured service payment, or all of it; a job tells the gateway. */
export async function requestRefund(
  context: Context,
  tx: Transaction,
  paymentId: string,
  { amountCents, reason, requestedBy }: RefundRequest,
): Promise<{ kind: "requested"; refundId: string; payment: Payment } | Refusal> {
  const payment = paymentOf(await lockPayments(tx, [paymentId]), paymentId);
  const decision = decidePayment(payment, "refundAsked");
  if (decision.kind === "refused") return refuse("conflict", decision.message);
  const leftCents = paidCentsOf(payment) - payment.refunded_cents;
  if (amountCents > leftCents)
    return refuse("conflict", `only ${leftCents} cents of this payment are left to give back`, {
      field: "body.amountCents",
    });
  const part = { id: newId(), amountCents, reason };
  await tx
    .insertInto("refunds")
    .values({ ...newRefund(context, payment, part), status: "requested", requested_by: requestedBy })
    .execute();
  const [heard] = await hear(context, tx, [
    { payment, heard: "refundAsked", part, set: setAside(payment, amountCents) },
  ]);
  return { kind: "requested", refundId: part.id, payment: heard.payment };
}

/** Tells the gateway, once however often it runs. @throws PartnerUnavailable: try again */
export async function refundAtGateway(
  { context, gateway }: PaymentWork,
  refundId: string,
  attempt: number,
): Promise<void> {
  const refund = await context.db
    .selectFrom("refunds")
    .innerJoin("payments", "payments.id", "refunds.payment_id")
    .where("refunds.id", "=", refundId)
    .select([
      "refunds.status",
      "refunds.amount_cents as amountCents",
      "refunds.payment_id as paymentId",
      "payments.gateway_payment_id as gatewayPaymentId",
    ])
    .executeTakeFirstOrThrow();
  if (refund.status !== "requested") return;
  const { paymentId, gatewayPaymentId, amountCents } = refund;
  if (gatewayPaymentId === null) throw new Error(`payment ${paymentId} was captured nowhere`);
  // A try that follows another looks first: the gateway forgets keys after a day.
  const made =
    attempt > 1
      ? (await gateway.listRefunds(gatewayPaymentId)).find(({ reference }) => reference === refundId)
      : undefined;
  const answer: RefundAnswer =
    made === undefined
      ? await gateway.refund({ reference: refundId, gatewayPaymentId, amountCents })
      : made.status === "failed"
        ? { status: "refused", reason: made.failureReason ?? "failed" }
        : { status: "refunded", gatewayRefundId: made.gatewayRefundId };
  await context.db
    .transaction()
    .execute((tx) => recordRefundAnswer(context, tx, paymentId, refundId, answer));
}

async function recordRefundAnswer(
  context: Context,
  tx: Transaction,
  paymentId: string,
  refundId: string,
  answer: RefundAnswer,
): Promise<void> {
  const payment = paymentOf(await lockPayments(tx, [paymentId]), paymentId);
  const settled = await tx
    .updateTable("refunds")
    .set({
      settled_at: context.clock.now(),
      ...(answer.status === "refunded"
        ? { status: "done", gateway_refund_id: answer.gatewayRefundId }
        : { status: "refused" }),
    })
    .where("id", "=", refundId)
    .where("status", "=", "requested")
    .returning(["amount_cents as amountCents", "reason"])
    .executeTakeFirst();
  // A second run of the job, or a message that was quicker.
  if (settled === undefined) return;
  const { amountCents, reason } = settled;
  if (answer.status === "refunded")
    return recordRefunded(context, tx, payment, { id: refundId, amountCents, reason });
  const part = { id: refundId, amountCents, reason: answer.reason };
  await hear(context, tx, [{ payment, heard: "refundRefused", part, set: setAside(payment, -amountCents) }]);
}

/** The refund's row says already that it is done. @param set where its amount was not set aside before */
export async function recordRefunded(
  context: Context,
  tx: Transaction,
  payment: Payment,
  part: Part,
  set: ReturnType<typeof setAside> = {},
): Promise<void> {
  await setRefundLookUp(context, tx, part.id, context.clock.now());
  const isWhole = (await sumRefunds(tx, payment.id)) === paidCentsOf(payment);
  const heard = isWhole ? "refundedInFull" : "refundedInPart";
  await hear(context, tx, [{ payment, heard, part, set }]);
}

/** Given back of a payment, in cents; not what is only on its way. */
export async function sumRefunds(tx: Transaction, paymentId: string): Promise<number> {
  const done = await tx
    .selectFrom("refunds")
    .where("payment_id", "=", paymentId)
    .where("status", "=", "done")
    .select((select) => select.fn.sum<string | null>("amount_cents").as("cents"))
    .executeTakeFirstOrThrow();
  return Number(done.cents ?? 0);
}

/** Business-time deadline at which a refund that was made is looked up; its subject is the refund. */
export const refundLookUpTimer = "refundLookUp";

export async function setRefundLookUp(
  context: Context,
  tx: Transaction,
  refundId: string,
  madeAt: Date,
): Promise<void> {
  const dueAtMs = planRefundLookUp(madeAt.getTime(), context.clock.now().getTime());
  if (dueAtMs !== null)
    await setTimers(tx, refundLookUpTimer, [{ subjectId: refundId, dueAt: new Date(dueAtMs) }]);
}

export function newRefund(context: Context, payment: Payment, { id, amountCents, reason }: Part) {
  return {
    id,
    payment_id: payment.id,
    amount_cents: amountCents,
    reason,
    created_at: context.clock.now(),
  };
}

/** Given back or on its way back. */
export function setAside(payment: Payment, amountCents: number): { refunded_cents?: number } {
  return { refunded_cents: payment.refunded_cents + amountCents };
}
