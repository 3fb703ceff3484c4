import type { Principal } from "../../http/principal.ts";
import { type Refusal, refuse, refuseByRule } from "../../http/refusal.ts";
import type { Context } from "../../lifecycle/context.ts";
import { factsOf } from "../../lifecycle/move-vehicles.ts";
import { decide } from "../../rules/interpreter.ts";
import { computeFinalPayment } from "../../rules/pricing.ts";
import { vehicleMachine } from "../../rules/vehicle-machine.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { enqueue } from "../../store/jobs.ts";
import { chargePaymentJob, liveStatuses, readPayment } from "./payment-row.ts";
import { recordDepositReceived } from "./sale-payments.ts";

/** How the reservation is paid: by the customer's card, or as staff took it over the counter. */
export type ReservationMeans = {
  paymentMethod?: string | undefined;
  method?: "cash" | "transfer" | undefined;
  amountCents?: number | undefined;
};

export type Requested = { kind: "requested"; paymentId: string };

/** Takes the reservation (DO4): the customer's card is charged by a job, staff's cash is recorded at once. */
export async function requestReservation(
  context: Context,
  tx: Transaction,
  principal: Principal,
  expedienteId: string,
  means: ReservationMeans,
): Promise<Requested | Refusal> {
  const sale = await lockSale(tx, expedienteId);
  const refusal = refuseReservation(sale) ?? (await refuseSecond(tx, expedienteId, "reservation"));
  if (refusal !== null) return refusal;
  const amountCents = sale.reservation_cents;

  if (principal.kind === "customer") {
    const given =
      means.amountCents !== undefined ? "amountCents" : means.method !== undefined ? "method" : null;
    if (given !== null)
      return refuse("badRequest", "a customer pays the agreed reservation by card", {
        field: `body.${given}`,
      });
    if (means.paymentMethod === undefined)
      return refuse("badRequest", "name the card to be charged", { field: "body.paymentMethod" });
    const paymentId = await insertCardPayment(
      context,
      tx,
      sale,
      "reservation",
      amountCents,
      means.paymentMethod,
    );
    return { kind: "requested", paymentId };
  }

  if (means.paymentMethod !== undefined)
    return refuse("badRequest", "staff record cash or a transfer; only the customer uses a card", {
      field: "body.paymentMethod",
    });
  if (means.method === undefined)
    return refuse("badRequest", "say how it was paid: cash or transfer", { field: "body.method" });
  if (means.amountCents !== amountCents)
    return refuse("badRequest", `the reservation is ${amountCents} cents, neither more nor less`, {
      field: "body.amountCents",
    });
  const paymentId = newId();
  const now = context.clock.now();
  await tx
    .insertInto("payments")
    .values({
      ...newPayment(sale, "reservation", amountCents, now),
      id: paymentId,
      method: means.method,
      payment_method: null,
      status: "recorded",
      recorded_by: principal.userId,
      settled_at: now,
    })
    .execute();
  await recordDepositReceived(context, tx, await readPayment(tx, paymentId));
  return { kind: "requested", paymentId };
}

/** Starts the final payment (AU7): the price less the reservation, as soon as the rules take it (DE9). */
export async function requestFinalPayment(
  context: Context,
  tx: Transaction,
  expedienteId: string,
  paymentMethod: string,
): Promise<Requested | Refusal> {
  const sale = await lockSale(tx, expedienteId);
  if (sale.status !== "open")
    return refuse("conflict", `this expediente is ${sale.status}: nothing is to be paid any more`);
  // Asked without moving anything: the car moves when the gateway says that the money is there.
  const decision = decide(
    vehicleMachine,
    sale.state,
    "finalPaymentReceived",
    factsOf({ ...sale, final_payment: "received" }),
  );
  if (decision.kind === "refused") return refuseByRule(decision);
  const { final_payment_due_at: dueAt } = sale;
  if (dueAt !== null && context.clock.now().getTime() >= dueAt.getTime())
    return refuse("conflict", `the final payment was due until ${dueAt.toISOString()}`);
  const second = await refuseSecond(tx, expedienteId, "final");
  if (second !== null) return second;
  const due = computeFinalPayment(sale.price_cents, sale.reservation_cents);
  if (due.kind === "refused") throw new Error(`expediente ${expedienteId}: ${due.message}`);
  const paymentId = await insertCardPayment(context, tx, sale, "final", due.finalPaymentCents, paymentMethod);
  return { kind: "requested", paymentId };
}

/** The vehicle's row is the lock: a second request for the same sale waits here for the first. */
async function lockSale(tx: Transaction, expedienteId: string) {
  return tx
    .selectFrom("expedientes")
    .innerJoin("vehicles", "vehicles.id", "expedientes.vehicle_id")
    .where("expedientes.id", "=", expedienteId)
    .selectAll("vehicles")
    .select([
      "expedientes.id as expediente_id",
      "expedientes.customer_id",
      "expedientes.status",
      "expedientes.price_cents",
      "expedientes.reservation_cents",
      "expedientes.currency",
      "expedientes.final_payment_due_at",
    ])
    .forNoKeyUpdate("vehicles")
    .executeTakeFirstOrThrow(() => new Error(`no expediente ${expedienteId}`));
}

type Sale = Awaited<ReturnType<typeof lockSale>>;

function refuseReservation(sale: Sale): Refusal | null {
  if (sale.status !== "open")
    return refuse("conflict", `this expediente is ${sale.status}: nothing is to be paid any more`);
  if (sale.reservation_paid) return refuse("conflict", "the reservation is paid already");
  return null;
}

async function refuseSecond(
  tx: Transaction,
  expedienteId: string,
  kind: "reservation" | "final",
): Promise<Refusal | null> {
  const live = await tx
    .selectFrom("payments")
    .where("expediente_id", "=", expedienteId)
    .where("kind", "=", kind)
    .where("status", "in", [...liveStatuses])
    .select("status")
    .executeTakeFirst();
  if (live === undefined) return null;
  return refuse("conflict", live.status === "pending" ? "this payment is under way" : "this is paid already");
}

function newPayment(sale: Sale, kind: "reservation" | "final", amountCents: number, now: Date) {
  return {
    kind,
    expediente_id: sale.expediente_id,
    activation_id: null,
    customer_id: sale.customer_id,
    amount_cents: amountCents,
    currency: sale.currency,
    gateway_payment_id: null,
    decline_reason: null,
    capture_before: null,
    settlement: null,
    created_at: now,
  };
}

async function insertCardPayment(
  context: Context,
  tx: Transaction,
  sale: Sale,
  kind: "reservation" | "final",
  amountCents: number,
  paymentMethod: string,
): Promise<string> {
  const paymentId = newId();
  await tx
    .insertInto("payments")
    .values({
      ...newPayment(sale, kind, amountCents, context.clock.now()),
      id: paymentId,
      method: "card",
      payment_method: paymentMethod,
      status: "pending",
      recorded_by: null,
      settled_at: null,
    })
    .execute();
  await enqueue(tx, chargePaymentJob, [{ payload: { paymentId } }]);
  return paymentId;
}
