import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import { planConfirmation } from "../../rules/decline-table.ts";
import type { Transaction } from "../../store/database.ts";
import { enqueue } from "../../store/jobs.ts";
import { setTimers } from "../../store/timers.ts";
import type { PaymentWork } from "./batches.ts";
import { followConfirmationJob } from "./jobs.ts";
import { subjectOf } from "./money-back/effects.ts";
import { lockPayments, type Payment, paymentOf } from "./payment-rows.ts";

// The customer's bank waits for the customer (3-D Secure): a link, a time until which to confirm, a reminder half-way.
// The return from the bank is heard by webhook; where that is lost, the reminder and the end look it up.

/** Business-time deadline of the reminder or of the end; its subject is the payment. */
export const confirmationTimer = "paymentConfirmation";

/** Tells the customer and starts the time. A payment that waits for the second time keeps its first end. */
export async function askConfirmation(
  { context }: PaymentWork,
  hours: number,
  paymentId: string,
): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    const payment = paymentOf(await lockPayments(tx, [paymentId]), paymentId);
    if (payment.status !== "unconfirmed") return;
    const plan = planConfirmation(context.clock.now().getTime(), hours);
    const confirmBy = payment.confirm_by ?? new Date(plan.confirmByMs);
    const isFirst = payment.confirm_by === null;
    const dueAt = isFirst ? new Date(plan.remindAtMs) : confirmBy;
    await setTimers(tx, confirmationTimer, [{ subjectId: paymentId, dueAt }]);
    if (isFirst)
      await tx.updateTable("payments").set({ confirm_by: confirmBy }).where("id", "=", paymentId).execute();
    await tellCustomer(context, tx, "NX9", { ...payment, confirm_by: confirmBy });
  });
}

/** The reminder is due, or the end: the gateway is asked first, by a job. */
export async function followConfirmations(tx: Transaction, paymentId: string): Promise<void> {
  await enqueue(tx, followConfirmationJob, [
    { payload: { paymentId }, key: `followConfirmation:${paymentId}` },
  ]);
}

/** Reminds the customer, or ends what was not confirmed in time. @throws PartnerUnavailable: try again */
export async function followConfirmation(work: PaymentWork, paymentId: string): Promise<void> {
  const { context, batches, gateway } = work;
  const payment = await batches.read(paymentId);
  const { confirm_by: confirmBy, gateway_payment_id: gatewayPaymentId } = payment;
  if (payment.status !== "unconfirmed" || confirmBy === null || gatewayPaymentId === null) return;
  const isOver = context.clock.now().getTime() >= confirmBy.getTime();
  // Confirmed in time counts, though its webhook was lost or is still on its way: a release would undo it.
  const now = await gateway.retrieve(gatewayPaymentId);
  const answer =
    isOver && now.status === "unconfirmed" ? await gateway.release(gatewayPaymentId, paymentId) : now;
  const heard = await batches.record({ paymentId, answer });
  if (isOver || heard.payment.status !== "unconfirmed") return;
  await context.db.transaction().execute(async (tx) => {
    await setTimers(tx, confirmationTimer, [{ subjectId: paymentId, dueAt: confirmBy }]);
    await tellCustomer(context, tx, "NX10", heard.payment);
  });
}

function tellCustomer(
  context: Context,
  tx: Transaction,
  row: "NX9" | "NX10",
  payment: Payment,
): Promise<void> {
  const due: DomainEvents["notificationDue"] = {
    row,
    subject: subjectOf(payment),
    detail: {
      link: payment.confirm_url ?? "",
      confirmBy: payment.confirm_by?.toISOString() ?? "",
    },
  };
  return context.publish(tx, "notificationDue", [due]);
}
