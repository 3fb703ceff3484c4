import { type Actor, system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { moveVehicle } from "../../lifecycle/move-vehicle.ts";
import { recordStep } from "../../lifecycle/record-step.ts";
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
    const decision = await moveVehicle(context, tx, {
      vehicleId,
      event: "finalPaymentReceived",
      actor,
      set: { final_payment: "received" },
      detail,
    });
    // The request was taken only because the rules take this; money without the step must not be stored.
    if (decision.kind === "refused") throw new Error(decision.message);
    await context.publish(tx, "finalPaymentReceived", { expedienteId, paymentId: payment.id, actor });
    return;
  }
  await recordStep(tx, {
    expedienteId,
    vehicleId,
    event: "reservationPaid",
    automation: null,
    actor,
    at: context.clock.now(),
    detail,
  });
  await context.publish(tx, "notificationDue", {
    row: "NT5",
    subject: { expedienteId, vehicleId, paymentId: payment.id },
  });
  await context.publish(tx, "reservationPaid", { expedienteId, paymentId: payment.id, actor });
}

/** The bank said no to a reservation, or was never asked: the sale stays, and the customer may try again. */
export async function recordPaymentNotMade(
  context: Context,
  tx: Transaction,
  payment: Payment,
  reason: string,
): Promise<void> {
  const { expedienteId, vehicleId } = await readSale(tx, payment);
  await recordStep(tx, {
    expedienteId,
    vehicleId,
    event: payment.kind === "final" ? "finalPaymentNotAttempted" : "reservationDeclined",
    automation: payment.kind === "final" ? "AU7" : null,
    actor: gateway,
    at: context.clock.now(),
    detail: { paymentId: payment.id, reason },
  });
}

/** The bank said no to the final payment: sinAsignar, stock, and the reservation is lost (LF5, LF6, FA10). */
export async function recordFinalDeclined(
  context: Context,
  tx: Transaction,
  payment: Payment,
  reason: string,
): Promise<void> {
  const { expedienteId, vehicleId } = await readSale(tx, payment);
  const failed = await moveVehicle(context, tx, {
    vehicleId,
    event: "finalPaymentFailed",
    actor: gateway,
    set: { final_payment: "failed" },
    detail: { paymentId: payment.id, amountCents: payment.amount_cents, reason },
  });
  // Since the request the car may have left PaymentPending; then there is no reservation to lose.
  if (failed.kind === "refused") return recordPaymentNotMade(context, tx, payment, reason);
  const marked = await moveVehicle(context, tx, {
    vehicleId,
    event: "markedForImmediateSale",
    actor: system,
  });
  if (marked.kind === "refused") throw new Error(marked.message);
  await tx
    .updateTable("expedientes")
    .set({ status: "reservationLost" })
    .where("id", "=", expedienteId)
    .execute();
  for (const reservation of await readDeposits(tx, expedienteId))
    await postToLedger(context, tx, reservation, "depositForfeited");
  await context.publish(tx, "finalPaymentDeclined", {
    expedienteId,
    paymentId: payment.id,
    reason,
    actor: gateway,
  });
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
