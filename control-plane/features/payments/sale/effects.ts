import type { Actor } from "../../../lifecycle/actor.ts";
import type { Context } from "../../../lifecycle/context.ts";
import { mustMoveVehicles } from "../../../lifecycle/move-vehicles.ts";
import { recordSteps } from "../../../lifecycle/record-step.ts";
import { needsPerson, readDecline } from "../../../rules/decline-table.ts";
import { decideAfterRefusal } from "../../../rules/final-payment-policy.ts";
import type { Transaction } from "../../../store/database.ts";
import { type Change, type Effect, reasonOf, tell } from "../effect.ts";
import { expedienteOf, type Payment } from "../payment-rows.ts";
import { loseReservation } from "./forfeiture.ts";

// What the rows of a reservation or a final payment cause in the sale, once the outcome is certain.

export const saleEffects = {
  postDeposit: { posts: "depositReceived" },
  recordReservationPaid: { carryOut: recordReservationPaid },
  recordFinalPaid: { carryOut: recordFinalPaid },
  recordNotMade: { carryOut: recordNotMade },
  judgeFinalRefusal: { carryOut: judgeFinalRefusals },
  askSecondLook: tell("taskNeeded", ({ payment }) => ({
    kind: "secondLook",
    detail: { ...describePayment(payment), ...(payment.payer === null ? {} : { payer: payment.payer }) },
    subject: { expedienteId: expedienteOf(payment), paymentId: payment.id },
    ...(payment.recorded_by === null ? {} : { causedBy: payment.recorded_by }),
  })),
} as const satisfies Record<string, Effect>;

const gateway: Actor = { kind: "partner", id: "paymentGateway" };

type OfSale = {
  change: Change;
  sale: { expedienteId: string; vehicleId: string };
  paymentId: string;
  payer: Actor;
};

async function readSales(tx: Transaction, changes: readonly Change[]): Promise<OfSale[]> {
  const ids = changes.map(({ payment }) => expedienteOf(payment));
  const rows = await tx
    .selectFrom("expedientes")
    .where("id", "in", ids)
    .select(["id", "vehicle_id"])
    .execute();
  const vehicles = new Map(rows.map((row) => [row.id, row.vehicle_id]));
  return changes.map((change) => {
    const { payment } = change;
    const expedienteId = expedienteOf(payment);
    const vehicleId = vehicles.get(expedienteId);
    if (vehicleId === undefined) throw new Error(`no expediente ${expedienteId}`);
    return { change, sale: { expedienteId, vehicleId }, paymentId: payment.id, payer: payerOf(payment) };
  });
}

/** The customer with a card, or the employee who took the cash. */
function payerOf({ recorded_by: employee, customer_id: customer }: Payment): Actor {
  return employee === null ? { kind: "customer", id: customer } : { kind: "staff", id: employee };
}

function describePayment({ id, amount_cents: amountCents, method }: Payment) {
  return { paymentId: id, amountCents, method };
}

/** With the people behind a payment that staff recorded. */
function describeStep(payment: Payment) {
  const { payer, checked_by: checkedBy } = payment;
  return {
    ...describePayment(payment),
    ...(payer === null ? {} : { payer }),
    ...(checkedBy === null ? {} : { checkedBy }),
  };
}

function describePaid({ sale: { expedienteId }, paymentId, payer }: OfSale) {
  return { expedienteId, paymentId, actor: payer };
}

async function recordReservationPaid(context: Context, tx: Transaction, changes: readonly Change[]) {
  const sales = await readSales(tx, changes);
  const steps = sales.map(({ change: { payment, at }, sale, payer: actor }) => {
    const detail = describeStep(payment);
    return { ...sale, event: "reservationPaid", automation: null, actor, at, detail };
  });
  await recordSteps(tx, steps);
  const due = sales.map(({ sale, paymentId }) => ({ row: "NT5" as const, subject: { ...sale, paymentId } }));
  await context.publish(tx, "notificationDue", due);
  await context.publish(tx, "reservationPaid", sales.map(describePaid));
}

async function recordFinalPaid(context: Context, tx: Transaction, changes: readonly Change[]) {
  const sales = await readSales(tx, changes);
  const moves = sales.map(({ change, sale: { vehicleId }, payer: actor }) => ({
    vehicleId,
    event: "finalPaymentReceived" as const,
    actor,
    set: { final_payment: "received" as const },
    detail: describeStep(change.payment),
  }));
  // The request was taken only because the rules take this; money without the step must not be stored.
  await mustMoveVehicles(context, tx, moves);
  await context.publish(tx, "finalPaymentReceived", sales.map(describePaid));
}

/** No money came, and the sale stays: the customer may try again. Where they can do nothing about it, a person must. */
async function recordNotMade(context: Context, tx: Transaction, changes: readonly Change[]) {
  const sales = await readSales(tx, changes);
  const steps = sales.map((one) =>
    one.change.payment.kind === "final"
      ? { ...describeRefusal(one), event: "finalPaymentNotMade", automation: "AU7" as const }
      : { ...describeRefusal(one), event: "reservationDeclined", automation: null },
  );
  await recordSteps(tx, steps);
  const stuck = sales.filter(
    ({ change }) => change.payment.status === "declined" && needsPerson(reasonOf(change)),
  );
  const tasks = stuck.map(({ change, sale, paymentId }) => {
    const reason = reasonOf(change);
    const { staff } = readDecline(reason, "request");
    const { amountCents } = describePayment(change.payment);
    return {
      kind: "paymentNotMade" as const,
      detail: { paymentId, amountCents, reason, meaning: staff },
      subject: { ...sale, paymentId },
    };
  });
  await context.publish(tx, "taskNeeded", tasks);
  const told = stuck.map(({ change, sale, paymentId }) => {
    const { advice } = readDecline(reasonOf(change), "request");
    return { row: "NX11" as const, subject: { ...sale, paymentId }, detail: { advice } };
  });
  await context.publish(tx, "notificationDue", told);
}

function describeRefusal({ change, sale, paymentId }: OfSale, more: { triesLeft?: number } = {}) {
  const detail = { paymentId, reason: reasonOf(change), ...more };
  const { checked_by: checker } = change.payment;
  const actor: Actor = checker === null ? gateway : { kind: "staff", id: checker };
  return { ...sale, actor, at: change.at, detail };
}

/**
 * The bank said no to the final payment. While the terms leave a try and time, the customer may pay again; else:
 * sinAsignar, stock, and the reservation is lost (LF5, LF6, FA10).
 */
async function judgeFinalRefusals(context: Context, tx: Transaction, changes: readonly Change[]) {
  for (const one of await readSales(tx, changes)) {
    const { change, sale, paymentId } = one;
    const terms = await tx
      .updateTable("expedientes")
      .set((set) => ({ final_payment_refusals: set("final_payment_refusals", "+", 1) }))
      .where("id", "=", sale.expedienteId)
      .returning([
        "final_payment_refusals as refusals",
        "final_payment_tries as tries",
        "final_payment_due_at as dueAt",
      ])
      .executeTakeFirstOrThrow();
    const dueAtMs = terms.dueAt?.getTime() ?? null;
    const next = decideAfterRefusal(terms.refusals, terms.tries, dueAtMs, change.at.getTime());
    if (next.kind === "mayTryAgain") {
      const { triesLeft } = next;
      const step = { ...describeRefusal(one, { triesLeft }), event: "finalPaymentRefused" };
      await recordSteps(tx, [{ ...step, automation: "AU7" }]);
      const subject = { ...sale, paymentId };
      await context.publish(tx, "notificationDue", [{ row: "NX8", subject, detail: { triesLeft } }]);
      continue;
    }
    const reason = reasonOf(change);
    const amountCents = change.payment.amount_cents;
    const isLost = await loseReservation(context, tx, sale, gateway, { paymentId, amountCents, reason });
    const told = { expedienteId: sale.expedienteId, paymentId, reason, actor: gateway };
    if (isLost) await context.publish(tx, "finalPaymentDeclined", [told]);
    // Since the request the car may have left PaymentPending; then there is no reservation to lose.
    else await recordNotMade(context, tx, [change]);
  }
}
