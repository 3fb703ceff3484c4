import { type Selectable, sql } from "kysely";
import type { Reader, Transaction } from "../../store/database.ts";
import { type Each, mapEach } from "../../store/map-each.ts";
import { plainArray } from "../../store/plain-array.ts";
import type { Database } from "../../store/schema.ts";

export type Payment = Selectable<Database["payments"]>;

/** Rows by their own ids and by their activations'. */
export type PaymentRows<Known extends Payment = Payment> = ReadonlyMap<string, Known>;

/**
 * Everything that decides about a payment locks its row first, and only then a vehicle's or an activation's: one order
 * for all, so nothing waits in a circle. Rows are locked in the order of their ids. (No key lock: postings refer to the
 * row while others hold it.)
 *
 * @param ids payments' or activations'; one that has no payment is not in the answer
 */
export async function lockPayments(tx: Transaction, ids: readonly string[]): Promise<PaymentRows> {
  return byId(await selectPayments(tx, ids).orderBy("id").forNoKeyUpdate().execute());
}

/** With the gateway's own id of its customer; `null`: it has none yet. */
export type PaymentOfCustomer = Payment & { gateway_customer_id: string | null };

/** In the order asked for. @param ids payments' or activations' */
export async function readPayments<const Ids extends readonly string[]>(
  db: Reader,
  ids: Ids,
): Promise<Each<Ids, PaymentOfCustomer>> {
  const read = selectPayments(db, ids).select((payment) =>
    payment
      .selectFrom("customers")
      .whereRef("customers.id", "=", "payments.customer_id")
      .select("customers.gateway_customer_id")
      .as("gateway_customer_id"),
  );
  const payments = byId(await read.execute());
  return mapEach(ids, (id) => paymentOf(payments, id));
}

/** `undefined`: none was asked for. */
export async function findPaymentOf(db: Reader, activationId: string): Promise<Payment | undefined> {
  return byId(await selectPayments(db, [activationId]).execute()).get(activationId);
}

/** @throws when there is none */
export function paymentOf<Known extends Payment>(payments: PaymentRows<Known>, id: string): Known {
  const payment = payments.get(id);
  if (payment === undefined) throw new Error(`no payment ${id}, nor one of an activation ${id}`);
  return payment;
}

function selectPayments(db: Reader, ids: readonly string[]) {
  const uuids = plainArray(ids);
  return db
    .selectFrom("payments")
    .where(sql<boolean>`(id = any(${uuids}::uuid[]) or activation_id = any(${uuids}::uuid[]))`)
    .selectAll();
}

function byId<Known extends Payment>(payments: readonly Known[]): PaymentRows<Known> {
  return new Map(
    payments.flatMap((payment) => [
      [payment.id, payment] as const,
      ...(payment.activation_id === null ? [] : [[payment.activation_id, payment] as const]),
    ]),
  );
}

/** What was paid: the gateway's own amount, where it took the money. */
export function paidCentsOf({ captured_cents: captured, amount_cents: asked }: Payment): number {
  return captured ?? asked;
}

export function activationOf(payment: Payment): string {
  if (payment.activation_id === null) throw new Error(`payment ${payment.id} belongs to no activation`);
  return payment.activation_id;
}

export function expedienteOf(payment: Payment): string {
  if (payment.expediente_id === null) throw new Error(`payment ${payment.id} belongs to no expediente`);
  return payment.expediente_id;
}
