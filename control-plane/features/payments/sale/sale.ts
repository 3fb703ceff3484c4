import { type Refusal, refuse } from "../../../http/refusal.ts";
import type { Context } from "../../../lifecycle/context.ts";
import { liveStatuses } from "../../../rules/payment-machine.ts";
import type { Transaction } from "../../../store/database.ts";
import { type NewPayment, openPayments } from "../open-payments.ts";
import type { Payment } from "../payment-rows.ts";

export type Requested = { kind: "requested"; payment: Payment };

/** The vehicle's row is the lock: a second request for the same sale waits here for the first. */
export async function lockSale(tx: Transaction, expedienteId: string) {
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

export type Sale = Awaited<ReturnType<typeof lockSale>>;

export function refuseClosed({ status }: Sale): Refusal | null {
  return status === "open"
    ? null
    : refuse("conflict", `this expediente is ${status}: nothing is to be paid any more`);
}

export async function refuseSecond(
  tx: Transaction,
  { expediente_id: expedienteId }: Sale,
  kind: "reservation" | "final",
): Promise<Refusal | null> {
  const live = await tx
    .selectFrom("payments")
    .where("expediente_id", "=", expedienteId)
    .where("kind", "=", kind)
    .where("status", "in", liveStatuses)
    .select("status")
    .executeTakeFirst();
  if (live === undefined) return null;
  switch (live.status) {
    case "pending":
      return refuse("conflict", "this payment is under way");
    case "unconfirmed":
      return refuse("conflict", "this payment waits for the customer to confirm it at the bank");
    case "unchecked":
      return refuse("conflict", "this payment waits for a second member of staff to look at it");
    default:
      return refuse("conflict", "this is paid already");
  }
}

/**
 * With a card, which a job charges, or as an employee took it; from `secondLookCents` on another one looks at that
 * first.
 */
export async function openSalePayment(
  context: Context,
  tx: Transaction,
  { expediente_id, customer_id, currency }: Sale,
  secondLookCents: number,
  means: Pick<NewPayment, "kind" | "amount_cents" | "method" | "payment_method" | "recorded_by" | "payer">,
): Promise<Requested> {
  const heard =
    means.recorded_by === null
      ? "requested"
      : means.amount_cents < secondLookCents
        ? "recordedByStaff"
        : "recordedForCheck";
  const opened = await openPayments(context, tx, heard, [
    { ...means, expediente_id, activation_id: null, customer_id, currency },
  ]);
  for (const payment of opened) return { kind: "requested", payment };
  throw new Error(`the payment of expediente ${expediente_id} was not opened`);
}
