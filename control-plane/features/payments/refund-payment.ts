import { sql } from "kysely";
import { type Refusal, refuse } from "../../http/refusal.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { GatewayRefund, PaymentGateway, RefundAnswer } from "../../partners/payment-gateway.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { enqueue } from "../../store/jobs.ts";
import { isOwed, subjectOf } from "./charge-back.ts";
import { postToLedger } from "./ledger.ts";
import { lockPayment, type Payment, refundJob } from "./payment-row.ts";
import { activationOf } from "./service-payments.ts";

// Money that is given back. How much is left is decided under the payment's lock before the gateway is asked, so
// that two who refund at once can never give back more than was captured.

export type RefundRequest = { amountCents: number; reason: string; requestedBy: string };

/** Gives back a part of a captured service payment, or all of it; a job tells the gateway. */
export async function requestRefund(
  context: Context,
  tx: Transaction,
  paymentId: string,
  request: RefundRequest,
): Promise<{ kind: "requested"; refundId: string } | Refusal> {
  const payment = await lockPayment(tx, paymentId);
  if (payment.kind !== "service")
    return refuse("conflict", "reservation and final payment are settled with the sale, not refunded");
  if (payment.status !== "captured")
    return refuse("conflict", `this payment is ${payment.status}: there is nothing to give back`);
  const leftCents = payment.amount_cents - payment.refunded_cents;
  if (request.amountCents > leftCents)
    return refuse("conflict", `only ${leftCents} cents of this payment are left to give back`, {
      field: "body.amountCents",
    });
  const refundId = newId();
  await addToRefunded(tx, payment, request.amountCents);
  await tx
    .insertInto("refunds")
    .values({
      id: refundId,
      payment_id: payment.id,
      amount_cents: request.amountCents,
      reason: request.reason,
      status: "requested",
      requested_by: request.requestedBy,
      created_at: context.clock.now(),
    })
    .execute();
  await enqueue(tx, refundJob, [{ payload: { refundId } }]);
  return { kind: "requested", refundId };
}

/** Tells the gateway, once however often it runs. @throws PartnerUnavailable: try again */
export async function refundAtGateway(
  context: Context,
  gateway: PaymentGateway,
  refundId: string,
  attempt: number,
): Promise<void> {
  const refund = await context.db
    .selectFrom("refunds")
    .innerJoin("payments", "payments.id", "refunds.payment_id")
    .where("refunds.id", "=", refundId)
    .select([
      "refunds.status",
      "refunds.amount_cents",
      "refunds.payment_id",
      "payments.gateway_payment_id as gatewayPaymentId",
    ])
    .executeTakeFirstOrThrow();
  if (refund.status !== "requested") return;
  const { gatewayPaymentId } = refund;
  if (gatewayPaymentId === null) throw new Error(`payment ${refund.payment_id} was captured nowhere`);
  // A try that follows another looks first: the gateway forgets keys after a day.
  const made =
    attempt > 1
      ? (await gateway.listRefunds(gatewayPaymentId)).find(({ reference }) => reference === refundId)
      : undefined;
  const answer: RefundAnswer =
    made === undefined
      ? await gateway.refund({ reference: refundId, gatewayPaymentId, amountCents: refund.amount_cents })
      : { status: "refunded", gatewayRefundId: made.gatewayRefundId };
  await context.db
    .transaction()
    .execute((tx) => recordRefundAnswer(context, tx, refund.payment_id, refundId, answer));
}

async function recordRefundAnswer(
  context: Context,
  tx: Transaction,
  paymentId: string,
  refundId: string,
  answer: RefundAnswer,
): Promise<void> {
  const payment = await lockPayment(tx, paymentId);
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
    .returningAll()
    .executeTakeFirst();
  // A second run of the job, or a message that was quicker.
  if (settled === undefined) return;
  if (answer.status === "refunded") return recordRefunded(context, tx, payment, settled);
  await addToRefunded(tx, payment, -settled.amount_cents);
  await context.publish(tx, "taskNeeded", [
    {
      kind: "refundRefused",
      detail: { paymentId, amountCents: settled.amount_cents, reason: answer.reason },
      subject: subjectOf(payment),
    },
  ]);
}

/** What somebody gave back in the gateway's own screens is written down too, each refund once. */
export async function reconcileRefunds(
  context: Context,
  gateway: PaymentGateway,
  paymentId: string,
  gatewayPaymentId: string,
): Promise<void> {
  for (const refund of await gateway.listRefunds(gatewayPaymentId))
    await context.db.transaction().execute((tx) => recordForeignRefund(context, tx, paymentId, refund));
}

async function recordForeignRefund(
  context: Context,
  tx: Transaction,
  paymentId: string,
  refund: GatewayRefund,
): Promise<void> {
  const payment = await lockPayment(tx, paymentId);
  const known = await tx
    .selectFrom("refunds")
    .where("payment_id", "=", paymentId)
    .select(["id", "gateway_refund_id"])
    .execute();
  const isKnown = known.some(
    ({ id, gateway_refund_id }) => id === refund.reference || gateway_refund_id === refund.gatewayRefundId,
  );
  if (isKnown) return;
  const row = {
    id: newId(),
    payment_id: paymentId,
    amount_cents: refund.amountCents,
    reason: "refunded at the gateway",
    status: "done" as const,
    gateway_refund_id: refund.gatewayRefundId,
    requested_by: null,
    created_at: context.clock.now(),
    settled_at: context.clock.now(),
  };
  await addToRefunded(tx, payment, refund.amountCents);
  await tx.insertInto("refunds").values(row).execute();
  await recordRefunded(context, tx, payment, row);
}

/** `payment` as it was locked, before this refund was added or settled. */
async function recordRefunded(
  context: Context,
  tx: Transaction,
  payment: Payment,
  refund: { id: string; amount_cents: number; reason: string },
): Promise<void> {
  const kind = (await isOwed(tx, payment)) ? "depositRefunded" : "paymentRefunded";
  await postToLedger(context, tx, { ...payment, amount_cents: refund.amount_cents }, kind, refund.id);
  const done = await tx
    .selectFrom("refunds")
    .where("payment_id", "=", payment.id)
    .where("status", "=", "done")
    .select((select) => select.fn.sum<string>("amount_cents").as("cents"))
    .executeTakeFirstOrThrow();
  const isWhole = Number(done.cents) === payment.amount_cents;
  if (isWhole)
    await tx
      .updateTable("payments")
      .set({ status: "refunded" })
      .where("id", "=", payment.id)
      .where("status", "=", "captured")
      .execute();
  if (payment.kind !== "service") return;
  await context.publish(tx, "servicePaymentRefunded", [
    {
      activationId: activationOf(payment),
      paymentId: payment.id,
      amountCents: refund.amount_cents,
      reason: refund.reason,
      isWhole,
    },
  ]);
}

async function addToRefunded(tx: Transaction, payment: Payment, amountCents: number): Promise<void> {
  // The table's own check refuses what would be above the amount, or below zero.
  await sql`update payments set refunded_cents = refunded_cents + ${amountCents} where id = ${payment.id}`.execute(
    tx,
  );
}
