import { type Refusal, refuse } from "../../../http/refusal.ts";
import type { Context } from "../../../lifecycle/context.ts";
import type { GatewayRefund, RefundAnswer } from "../../../partners/payment-gateway.ts";
import { decidePayment } from "../../../rules/payment-machine.ts";
import type { Transaction } from "../../../store/database.ts";
import { newId } from "../../../store/ids.ts";
import type { PaymentWork } from "../batches.ts";
import type { Part } from "../effect.ts";
import { hear } from "../hear.ts";
import { lockPayments, type Payment, paymentOf } from "../payment.ts";

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
  const leftCents = payment.amount_cents - payment.refunded_cents;
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

/** A refund made in the gateway's own screens is recorded too, each once. */
export async function reconcileRefunds(
  { context, gateway }: PaymentWork,
  { paymentId, gatewayPaymentId }: { paymentId: string; gatewayPaymentId: string },
): Promise<void> {
  for (const refund of await gateway.listRefunds(gatewayPaymentId))
    await context.db.transaction().execute((tx) => recordForeignRefund(context, tx, paymentId, refund));
}

async function recordForeignRefund(
  context: Context,
  tx: Transaction,
  paymentId: string,
  { reference, gatewayRefundId, amountCents }: GatewayRefund,
): Promise<void> {
  const payment = paymentOf(await lockPayments(tx, [paymentId]), paymentId);
  const known = await tx
    .selectFrom("refunds")
    .where("payment_id", "=", paymentId)
    .select(["id", "gateway_refund_id"])
    .execute();
  if (known.some((refund) => refund.id === reference || refund.gateway_refund_id === gatewayRefundId)) return;
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

/** The refund's row says already that it is done. @param set where its amount was not set aside before */
async function recordRefunded(
  context: Context,
  tx: Transaction,
  payment: Payment,
  part: Part,
  set: ReturnType<typeof setAside> = {},
): Promise<void> {
  const done = await tx
    .selectFrom("refunds")
    .where("payment_id", "=", payment.id)
    .where("status", "=", "done")
    .select((select) => select.fn.sum<string>("amount_cents").as("cents"))
    .executeTakeFirstOrThrow();
  const heard = Number(done.cents) === payment.amount_cents ? "refundedInFull" : "refundedInPart";
  await hear(context, tx, [{ payment, heard, part, set }]);
}

function newRefund(context: Context, payment: Payment, { id, amountCents, reason }: Part) {
  return {
    id,
    payment_id: payment.id,
    amount_cents: amountCents,
    reason,
    created_at: context.clock.now(),
  };
}

/** Given back or on its way back. */
function setAside(payment: Payment, amountCents: number): { refunded_cents?: number } {
  return { refunded_cents: payment.refunded_cents + amountCents };
}
