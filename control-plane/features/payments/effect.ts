import type { Context } from "../../lifecycle/context.ts";
import type { DomainEventName, DomainEvents } from "../../lifecycle/events.ts";
import type { GatewayPayment } from "../../partners/payment-gateway.ts";
import type { GatewayRecord, PaymentEffect, PaymentHeard } from "../../rules/payment-machine.ts";
import type { Transaction } from "../../store/database.ts";
import { enqueue, type JobType } from "../../store/jobs.ts";
import type { LedgerKind } from "./ledger/postings.ts";
import { activationOf, type Payment } from "./payment-rows.ts";

/** A part of the money that goes back: a refund, or a bank's dispute. `id` is the refund's, or the gateway's. */
export type Part = { id: string; amountCents: number; reason: string };

type Answer = GatewayPayment["status"];
type PartHeard = Extract<PaymentHeard, `chargeBack${string}` | `refund${string}`>;

/** What is heard of a payment, with what came with it. `set` is written unless nothing happens. */
export type News = {
  set?: Partial<
    Pick<
      Payment,
      "waits_because" | "refunded_cents" | "mismatch" | "checked_by" | "settled_at" | "decline_reason"
    >
  >;
} & (
  | { answer: GatewayPayment; heard?: "capturedOtherAmount" }
  | { heard: "mismatched"; theirs: GatewayRecord }
  | { heard: Exclude<PaymentHeard, Answer | PartHeard | "capturedOtherAmount" | "mismatched"> }
  | { heard: PartHeard; part: Part }
);

/** A payment before and after what was heard of it. */
export type Change = {
  before: Payment;
  payment: Payment;
  news: News;
  effects: readonly PaymentEffect[];
  at: Date;
};

/** What an effect does in the transaction, for all payments that have it. */
export type Effect = {
  /** To the ledger; `owed`: while the money is still a deposit. */
  posts?: LedgerKind | { earned: LedgerKind; owed: LedgerKind };
  carryOut?(context: Context, tx: Transaction, changes: readonly Change[]): Promise<void>;
};

export function heardIn(news: News): PaymentHeard {
  return "answer" in news ? (news.heard ?? news.answer.status) : news.heard;
}

/** @throws where the money does not go back: a mistake of the table */
export function partOf({ payment, news }: Change): Part {
  if (!("part" in news)) throw new Error(`payment ${payment.id}: ${heardIn(news)} is about no part of it`);
  return news.part;
}

/** The bank's reason where it gave one. */
export function reasonOf({ payment }: Change): string {
  return payment.decline_reason ?? payment.status;
}

/** What a service's domain events and notifications are about. */
export function serviceOf({ payment }: Change): { activationId: string; paymentId: string } {
  return { activationId: activationOf(payment), paymentId: payment.id };
}

/** @throws when a hold has no end: the gateway's client refuses such an answer */
export function holdOf(change: Change) {
  const { id, capture_before: captureBefore } = change.payment;
  if (captureBefore === null) throw new Error(`payment ${id} is held without an end`);
  return { ...serviceOf(change), captureBefore };
}

/** Publishes a domain event for each. */
export function tell<Name extends DomainEventName>(
  name: Name,
  describe: (change: Change) => DomainEvents[Name],
): Effect {
  return { carryOut: (context, tx, changes) => context.publish(tx, name, changes.map(describe)) };
}

/** Enqueues a job for each. */
export function ask<P>(type: JobType<P>, describe: (change: Change) => P): Effect {
  return {
    async carryOut(_context, tx, changes) {
      const jobs = changes.map((change) => ({ payload: describe(change) }));
      await enqueue(tx, type, jobs);
    },
  };
}

/** Logs an error for each: it cannot harm, and should be looked into. */
export function log(message: string): Effect {
  return {
    async carryOut({ logger }, _tx, changes) {
      for (const { before, news } of changes) {
        const { id, status, settlement } = before;
        logger.error({ payment: id, ours: status, settlement, heard: heardIn(news) }, message);
      }
    },
  };
}

/** Carries out several, one after the other. */
export function inTurn(...effects: readonly Effect[]): Effect {
  return {
    async carryOut(context, tx, changes) {
      for (const { carryOut } of effects) await carryOut?.(context, tx, changes);
    },
  };
}
