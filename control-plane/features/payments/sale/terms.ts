import { dayMs, minuteMs } from "@caas/contract/durations.ts";
import { system } from "../../../lifecycle/actor.ts";
import type { Context } from "../../../lifecycle/context.ts";
import type { VehicleMoved } from "../../../lifecycle/events.ts";
import {
  type FinalPaymentTerms,
  planFinalPaymentDue,
  planNextNotice,
} from "../../../rules/final-payment-policy.ts";
import type { Transaction } from "../../../store/database.ts";
import { clearTimers, setTimers } from "../../../store/timers.ts";
import { loseReservation } from "./forfeiture.ts";

/** Business-time deadline of the next reminder or of the end; its subject is the expediente. */
export const finalPaymentTimer = "finalPaymentNotice";

/** How soon a payment that is still being asked for at the deadline is looked at again. */
const lookAgainMs = 10 * minuteMs;

/** The car waits for its money: from now on the terms run. Once it waits no more, there are no reminders. */
export async function keepFinalPaymentTerms(
  context: Context,
  tx: Transaction,
  terms: FinalPaymentTerms,
  { vehicleId, from, to }: VehicleMoved,
): Promise<void> {
  if (from === to || (from !== "PaymentPending" && to !== "PaymentPending")) return;
  const sale = await tx
    .selectFrom("expedientes")
    .where("vehicle_id", "=", vehicleId)
    .where("status", "=", "open")
    .select("id")
    .executeTakeFirst();
  if (sale === undefined) return;
  if (to !== "PaymentPending") return clearTimers(tx, finalPaymentTimer, [sale.id]);
  const now = context.clock.now();
  const dueAtMs = planFinalPaymentDue(now.getTime(), terms);
  await tx
    .updateTable("expedientes")
    .set({
      final_payment_asked_at: now,
      final_payment_due_at: dueAtMs === null ? null : new Date(dueAtMs),
      final_payment_tries: terms.tries,
    })
    .where("id", "=", sale.id)
    .execute();
  if (dueAtMs === null) return;
  const noticeAt = new Date(planNextNotice(now.getTime(), dueAtMs, now.getTime()));
  await setTimers(tx, finalPaymentTimer, [{ subjectId: sale.id, dueAt: noticeAt }]);
}

/** A reminder is due, or the end is. */
export async function giveFinalPaymentNotice(
  context: Context,
  tx: Transaction,
  expedienteId: string,
): Promise<void> {
  // The vehicle's row is the lock: a payment that is being asked for at this moment waits here, or we for it.
  const sale = await tx
    .selectFrom("expedientes")
    .innerJoin("vehicles", "vehicles.id", "expedientes.vehicle_id")
    .where("expedientes.id", "=", expedienteId)
    .select([
      "expedientes.vehicle_id as vehicleId",
      "expedientes.status",
      "expedientes.final_payment_asked_at as askedAt",
      "expedientes.final_payment_due_at as dueAt",
      "vehicles.state",
      "vehicles.final_payment as finalPayment",
    ])
    .forNoKeyUpdate("vehicles")
    .executeTakeFirstOrThrow();
  const { vehicleId, askedAt, dueAt } = sale;
  const isOver =
    sale.status !== "open" || sale.state !== "PaymentPending" || sale.finalPayment === "received";
  if (isOver || askedAt === null || dueAt === null) return;
  const now = context.clock.now();
  const subject = { expedienteId, vehicleId };
  const dueOn = dueAt.toISOString();
  const isAsked = await isBeingPaid(tx, expedienteId);
  if (now.getTime() < dueAt.getTime()) {
    const daysLeft = Math.ceil((dueAt.getTime() - now.getTime()) / dayMs);
    if (!isAsked)
      await context.publish(tx, "notificationDue", [{ row: "NX6", subject, detail: { daysLeft, dueOn } }]);
    const next = new Date(planNextNotice(askedAt.getTime(), dueAt.getTime(), now.getTime()));
    return setTimers(tx, finalPaymentTimer, [{ subjectId: expedienteId, dueAt: next }]);
  }
  // The bank's answer decides: yes is in time, and no comes after the end.
  if (isAsked) {
    const next = new Date(now.getTime() + lookAgainMs);
    return setTimers(tx, finalPaymentTimer, [{ subjectId: expedienteId, dueAt: next }]);
  }
  const why = { reason: "deadlinePassed", dueOn };
  if (await loseReservation(context, tx, subject, system, why))
    await context.publish(tx, "notificationDue", [{ row: "NX7", subject, detail: { dueOn } }]);
}

async function isBeingPaid(tx: Transaction, expedienteId: string): Promise<boolean> {
  const pending = await tx
    .selectFrom("payments")
    .where("expediente_id", "=", expedienteId)
    .where("kind", "=", "final")
    .where("status", "in", ["pending", "unconfirmed", "unchecked"])
    .select("id")
    .executeTakeFirst();
  return pending !== undefined;
}
