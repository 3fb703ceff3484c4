import type { Actor } from "../../../lifecycle/actor.ts";
import type { Context } from "../../../lifecycle/context.ts";
import { moveVehicles } from "../../../lifecycle/move-vehicles.ts";
import { recordSteps, type Step } from "../../../lifecycle/record-step.ts";
import { decideAfterRefusal } from "../../../rules/final-payment-policy.ts";
import type { Transaction } from "../../../store/database.ts";
import { type Change, type Effect, reasonOf } from "../effect.ts";
import { expedienteOf, type Payment } from "../payment.ts";
import { loseReservation } from "./forfeiture.ts";

// What the rows of a reservation or a final payment cause in the sale, once the outcome is certain.

export const saleEffects = {
  postDeposit: { posts: "depositReceived" },
  recordReservationPaid: { carryOut: recordReservationPaid },
  recordFinalPaid: { carryOut: recordFinalPaid },
  recordNotMade: { carryOut: recordNotMade },
  judgeFinalRefusal: { carryOut: judgeFinalRefusals },
} as const satisfies Record<string, Effect>;

const gateway: Actor = { kind: "partner", id: "paymentGateway" };

type OfSale = { change: Change; expedienteId: string; vehicleId: string };

async function readSales(tx: Transaction, changes: readonly Change[]): Promise<OfSale[]> {
  const found = await tx
    .selectFrom("expedientes")
    .where(
      "id",
      "in",
      changes.map(({ payment }) => expedienteOf(payment)),
    )
    .select(["id", "vehicle_id"])
    .execute();
  const vehicles = new Map(found.map((sale) => [sale.id, sale.vehicle_id]));
  return changes.map((change) => {
    const expedienteId = expedienteOf(change.payment);
    const vehicleId = vehicles.get(expedienteId);
    if (vehicleId === undefined) throw new Error(`no expediente ${expedienteId}`);
    return { change, expedienteId, vehicleId };
  });
}

/** The customer with a card, or the employee who took the cash. */
function payerOf({ recorded_by: employee, customer_id: customer }: Payment): Actor {
  return employee === null ? { kind: "customer", id: customer } : { kind: "staff", id: employee };
}

function describePayment({ id, amount_cents: amountCents, method }: Payment) {
  return { paymentId: id, amountCents, method };
}

async function recordReservationPaid(context: Context, tx: Transaction, changes: readonly Change[]) {
  const sales = await readSales(tx, changes);
  await recordSteps(
    tx,
    sales.map(({ change: { payment, at }, expedienteId, vehicleId }) => ({
      expedienteId,
      vehicleId,
      event: "reservationPaid",
      automation: null,
      actor: payerOf(payment),
      at,
      detail: describePayment(payment),
    })),
  );
  await context.publish(
    tx,
    "notificationDue",
    sales.map(({ change, expedienteId, vehicleId }) => ({
      row: "NT5",
      subject: { expedienteId, vehicleId, paymentId: change.payment.id },
    })),
  );
  await context.publish(tx, "reservationPaid", sales.map(describePaid));
}

async function recordFinalPaid(context: Context, tx: Transaction, changes: readonly Change[]) {
  const sales = await readSales(tx, changes);
  const moved = await moveVehicles(
    context,
    tx,
    sales.map(({ change: { payment }, vehicleId }) => ({
      vehicleId,
      event: "finalPaymentReceived",
      actor: payerOf(payment),
      set: { final_payment: "received" },
      detail: describePayment(payment),
    })),
  );
  // The request was taken only because the rules take this; money without the step must not be stored.
  for (const decision of moved) if (decision.kind === "refused") throw new Error(decision.message);
  await context.publish(tx, "finalPaymentReceived", sales.map(describePaid));
}

function describePaid({ change: { payment }, expedienteId }: OfSale) {
  return { expedienteId, paymentId: payment.id, actor: payerOf(payment) };
}

/** The bank said no to a reservation, or was never asked: the sale stays, and the customer may try again. */
async function recordNotMade(_context: Context, tx: Transaction, changes: readonly Change[]) {
  const sales = await readSales(tx, changes);
  await recordSteps(
    tx,
    sales.map((sale) =>
      sale.change.payment.kind === "final"
        ? describeRefusal(sale, "finalPaymentNotAttempted", "AU7")
        : describeRefusal(sale, "reservationDeclined", null),
    ),
  );
}

function describeRefusal(
  { change, expedienteId, vehicleId }: OfSale,
  event: string,
  automation: Step["automation"],
  more: { triesLeft?: number } = {},
): Step {
  const detail = { paymentId: change.payment.id, reason: reasonOf(change), ...more };
  return { expedienteId, vehicleId, event, automation, actor: gateway, at: change.at, detail };
}

/**
 * The bank said no to the final payment. While the terms leave a try and time, the customer may pay again; else:
 * sinAsignar, stock, and the reservation is lost (LF5, LF6, FA10).
 */
async function judgeFinalRefusals(context: Context, tx: Transaction, changes: readonly Change[]) {
  for (const sale of await readSales(tx, changes)) {
    const { change, expedienteId, vehicleId } = sale;
    const { payment, at } = change;
    const reason = reasonOf(change);
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
      at.getTime(),
    );
    if (next.kind === "mayTryAgain") {
      const { triesLeft } = next;
      await recordSteps(tx, [describeRefusal(sale, "finalPaymentRefused", "AU7", { triesLeft })]);
      const subject = { expedienteId, vehicleId, paymentId: payment.id };
      await context.publish(tx, "notificationDue", [{ row: "NX8", subject, detail: { triesLeft } }]);
      continue;
    }
    const isLost = await loseReservation(context, tx, sale, gateway, {
      paymentId: payment.id,
      amountCents: payment.amount_cents,
      reason,
    });
    const told = { expedienteId, paymentId: payment.id, reason, actor: gateway };
    if (isLost) await context.publish(tx, "finalPaymentDeclined", [told]);
    // Since the request the car may have left PaymentPending; then there is no reservation to lose.
    else await recordNotMade(context, tx, [change]);
  }
}
