import { type Actor, system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { moveVehicles } from "../../lifecycle/move-vehicles.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import { decideAfterRefusal } from "../../rules/final-payment-policy.ts";
import type { Transaction } from "../../store/database.ts";
import { postToLedger } from "./ledger.ts";
import type { Payment } from "./payment-row.ts";

// What a reservation or a final payment does to the sale, once its outcome is certain.

const gateway: Actor = { kind: "partner", id: "paymentGateway" };

type Sale = { expedienteId: string; vehicleId: string };

async function readSale(tx: Transaction, payment: Payment): Promise<Sale> {
  if (payment.expediente_id === null) throw new Error(`payment ${payment.id} belongs to no expediente`);
  const { vehicle_id: vehicleId } = await tx
    .selectFrom("expedientes")
    .where("id", "=", payment.expediente_id)
    .select("vehicle_id")
    .executeTakeFirstOrThrow();
  return { expedienteId: payment.expediente_id, vehicleId };
}

/** Whoever paid: the customer with a card, or the employee who took the cash. */
function payerOf(payment: Payment): Actor {
  return payment.recorded_by === null
    ? { kind: "customer", id: payment.customer_id }
    : { kind: "staff", id: payment.recorded_by };
}

/** The money of a reservation or a final payment is there. */
export async function recordDepositReceived(
  context: Context,
  tx: Transaction,
  payment: Payment,
): Promise<void> {
  const { expedienteId, vehicleId } = await readSale(tx, payment);
  const actor = payerOf(payment);
  const detail = { paymentId: payment.id, amountCents: payment.amount_cents, method: payment.method };
  await postToLedger(context, tx, payment, "depositReceived");
  if (payment.kind === "final") {
    const [decision] = await moveVehicles(context, tx, [
      {
        vehicleId,
        event: "finalPaymentReceived",
        actor,
        set: { final_payment: "received" },
        detail,
      },
    ]);
    // The request was taken only because the rules take this; money without the step must not be stored.
    if (decision.kind === "refused") throw new Error(decision.message);
    await context.publish(tx, "finalPaymentReceived", [{ expedienteId, paymentId: payment.id, actor }]);
    return;
  }
  await recordSteps(tx, [
    {
      expedienteId,
      vehicleId,
      event: "reservationPaid",
      automation: null,
      actor,
      at: context.clock.now(),
      detail,
    },
  ]);
  await context.publish(tx, "notificationDue", [
    {
      row: "NT5",
      subject: { expedienteId, vehicleId, paymentId: payment.id },
    },
  ]);
  await context.publish(tx, "reservationPaid", [{ expedienteId, paymentId: payment.id, actor }]);
}

/** The bank said no to a reservation, or was never asked: the sale stays, and the customer may try again. */
export async function recordPaymentNotMade(
  context: Context,
  tx: Transaction,
  payment: Payment,
  reason: string,
): Promise<void> {
  const { expedienteId, vehicleId } = await readSale(tx, payment);
  await recordSteps(tx, [
    {
      expedienteId,
      vehicleId,
      event: payment.kind === "final" ? "finalPaymentNotAttempted" : "reservationDeclined",
      automation: payment.kind === "final" ? "AU7" : null,
      actor: gateway,
      at: context.clock.now(),
      detail: { paymentId: payment.id, reason },
    },
  ]);
}

/**
 * The bank said no to the final payment. While the terms leave a try and time, the customer may pay again; else:
 * sinAsignar, stock, and the reservation is lost (LF5, LF6, FA10).
 */
export async function recordFinalDeclined(
  context: Context,
  tx: Transaction,
  payment: Payment,
  reason: string,
): Promise<void> {
  const sale = await readSale(tx, payment);
  const { expedienteId } = sale;
  const terms = await tx
    .updateTable("expedientes")
    .set((set) => ({ final_payment_refusals: set("final_payment_refusals", "+", 1) }))
    .where("id", "=", expedienteId)
    .returning(["final_payment_refusals", "final_payment_tries", "final_payment_due_at"])
    .executeTakeFirstOrThrow();
  const next = decideAfterRefusal(
    terms.final_payment_refusals,
    terms.final_payment_tries,
    terms.final_payment_due_at?.getTime() ?? null,
    context.clock.now().getTime(),
  );
  if (next.kind === "mayTryAgain")
    return recordMayTryAgain(context, tx, sale, payment, reason, next.triesLeft);
  const lost = await loseReservation(context, tx, sale, gateway, {
    paymentId: payment.id,
    amountCents: payment.amount_cents,
    reason,
  });
  // Since the request the car may have left PaymentPending; then there is no reservation to lose.
  if (!lost) return recordPaymentNotMade(context, tx, payment, reason);
  await context.publish(tx, "finalPaymentDeclined", [
    {
      expedienteId,
      paymentId: payment.id,
      reason,
      actor: gateway,
    },
  ]);
}

async function recordMayTryAgain(
  context: Context,
  tx: Transaction,
  { expedienteId, vehicleId }: Sale,
  payment: Payment,
  reason: string,
  triesLeft: number,
): Promise<void> {
  await recordSteps(tx, [
    {
      expedienteId,
      vehicleId,
      event: "finalPaymentRefused",
      automation: "AU7",
      actor: gateway,
      at: context.clock.now(),
      detail: { paymentId: payment.id, reason, triesLeft },
    },
  ]);
  await context.publish(tx, "notificationDue", [
    {
      row: "NX8",
      subject: { expedienteId, vehicleId, paymentId: payment.id },
      detail: { triesLeft },
    },
  ]);
}

/** The car goes to stock and the reservation is forfeited; `false` where the car waits for no money any more. */
export async function loseReservation(
  context: Context,
  tx: Transaction,
  { expedienteId, vehicleId }: Sale,
  actor: Actor,
  detail: Record<string, string | number>,
): Promise<boolean> {
  const [failed] = await moveVehicles(context, tx, [
    {
      vehicleId,
      event: "finalPaymentFailed",
      actor,
      set: { final_payment: "failed" },
      detail,
    },
  ]);
  if (failed.kind === "refused") return false;
  const [marked] = await moveVehicles(context, tx, [
    {
      vehicleId,
      event: "markedForImmediateSale",
      actor: system,
    },
  ]);
  if (marked.kind === "refused") throw new Error(marked.message);
  await tx
    .updateTable("expedientes")
    .set({ status: "reservationLost" })
    .where("id", "=", expedienteId)
    .execute();
  for (const reservation of await readDeposits(tx, expedienteId))
    await postToLedger(context, tx, reservation, "depositForfeited");
  return true;
}

/** The car is in its customer's hands: what was owed is earned. */
export async function recordDelivered(context: Context, tx: Transaction, vehicleId: string): Promise<void> {
  const sales = await tx
    .selectFrom("expedientes")
    .where("vehicle_id", "=", vehicleId)
    .where("status", "in", ["open", "completed"])
    .select("id")
    .execute();
  for (const sale of sales)
    for (const deposit of await readDeposits(tx, sale.id))
      await postToLedger(context, tx, deposit, "depositEarned");
}

async function readDeposits(tx: Transaction, expedienteId: string): Promise<Payment[]> {
  return tx
    .selectFrom("payments")
    .where("expediente_id", "=", expedienteId)
    .where("status", "in", ["captured", "recorded"])
    .selectAll()
    .execute();
}
