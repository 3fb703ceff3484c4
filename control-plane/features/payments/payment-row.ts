import { type Selectable, sql } from "kysely";
import * as z from "zod";
import type { Reader, Transaction } from "../../store/database.ts";
import { jobType, perPurchase } from "../../store/jobs.ts";
import type { Database } from "../../store/schema.ts";

export type Payment = Selectable<Database["payments"]>;

export const chargePaymentJob = jobType("chargePayment", z.object({ paymentId: z.uuid() }), perPurchase);
export const reconcilePaymentJob = jobType(
  "reconcilePayment",
  z.object({ paymentId: z.uuid(), gatewayPaymentId: z.string() }),
  perPurchase,
);
export const lookUpPresumedJob = jobType("lookUpPresumed", z.object({ paymentId: z.uuid() }));
export const releaseStrayJob = jobType(
  "releaseStray",
  z.object({ paymentId: z.uuid(), gatewayPaymentId: z.string() }),
);
export const reconcileChargeBacksJob = jobType("reconcileChargeBacks", z.object({ paymentId: z.uuid() }));
export const refundJob = jobType("refund", z.object({ refundId: z.uuid() }));
export const reconcileRefundsJob = jobType(
  "reconcileRefunds",
  z.object({ paymentId: z.uuid(), gatewayPaymentId: z.string() }),
);
export const captureHoldJob = jobType("captureHold", z.object({ activationId: z.uuid() }), perPurchase);
export const releaseHoldJob = jobType("releaseHold", z.object({ activationId: z.uuid() }));

/** Payments under way or settled: an expediente has at most one of a kind. */
export const liveStatuses = ["pending", "authorised", "captured", "recorded"] as const;

/**
 * Everything that decides about a payment takes its row first, and only then a vehicle's or an activation's: one
 * order for all, so nobody waits in a circle. (No key lock: postings refer to the row while others hold it.)
 */
export async function lockPayment(tx: Transaction, paymentId: string): Promise<Payment> {
  return tx
    .selectFrom("payments")
    .where("id", "=", paymentId)
    .selectAll()
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow(() => new Error(`no payment ${paymentId}`));
}

export async function lockPaymentOfActivation(
  tx: Transaction,
  activationId: string,
): Promise<Payment | undefined> {
  return tx
    .selectFrom("payments")
    .where("activation_id", "=", activationId)
    .selectAll()
    .forNoKeyUpdate()
    .executeTakeFirst();
}

export async function readPayment(db: Reader, paymentId: string): Promise<Payment> {
  return db
    .selectFrom("payments")
    .where("id", "=", paymentId)
    .selectAll()
    .executeTakeFirstOrThrow(() => new Error(`no payment ${paymentId}`));
}

/** Locked in the order of their ids, which is everybody's. */
export async function lockPayments(tx: Transaction, paymentIds: readonly string[]): Promise<Payment[]> {
  return tx
    .selectFrom("payments")
    .where(sql<boolean>`id = any(${[...paymentIds]}::uuid[])`)
    .selectAll()
    .orderBy("id")
    .forNoKeyUpdate()
    .execute();
}

export async function lockPaymentsOfActivations(
  tx: Transaction,
  activationIds: readonly string[],
): Promise<Payment[]> {
  return tx
    .selectFrom("payments")
    .where(sql<boolean>`activation_id = any(${[...activationIds]}::uuid[])`)
    .selectAll()
    .orderBy("id")
    .forNoKeyUpdate()
    .execute();
}

/** In the order asked for. */
export async function readPayments(db: Reader, paymentIds: readonly string[]): Promise<Payment[]> {
  const rows = await db
    .selectFrom("payments")
    .where(sql<boolean>`id = any(${[...paymentIds]}::uuid[])`)
    .selectAll()
    .execute();
  const byId = new Map(rows.map((row) => [row.id, row]));
  return paymentIds.map((id) => {
    const row = byId.get(id);
    if (row === undefined) throw new Error(`no payment ${id}`);
    return row;
  });
}
