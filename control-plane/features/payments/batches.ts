import type { Context } from "../../lifecycle/context.ts";
import type { GatewayPayment, PaymentGateway } from "../../partners/payment-gateway.ts";
import type { Transaction } from "../../store/database.ts";
import { groupCommit } from "../../store/group-commit.ts";
import { type Heard, hearAnswers } from "./hear.ts";
import { type PaymentOfCustomer, readPayments } from "./payment-rows.ts";
import { decideCaptures, decideReleases, type Hold } from "./service/decide-holds.ts";

/** What the jobs of payments ask of the database: hundreds run at the same time, and what they ask is batched. */
export type PaymentBatches = {
  read(paymentId: string): Promise<PaymentOfCustomer>;
  record(answered: { paymentId: string; answer: GatewayPayment }): Promise<Heard>;
  /** Decides that the hold of an activation is taken; `null` where there is nothing to take. */
  decideCapture(activationId: string): Promise<Hold | null>;
  /** Decides that it is let go; `null` where there is nothing to let go. */
  decideRelease(activationId: string): Promise<Hold | null>;
};

/** What the jobs of payments work with. */
export type PaymentWork = {
  context: Context;
  batches: PaymentBatches;
  gateway: PaymentGateway;
  /** Where a bank sends a customer back to after a confirmation. */
  returnUrl: () => string;
};

export function createPaymentBatches(context: Context): PaymentBatches {
  const { db } = context;
  const inTransaction = <Item, Answer>(
    run: (context: Context, tx: Transaction, items: readonly Item[]) => Promise<readonly Answer[]>,
  ) => groupCommit((items: readonly Item[]) => db.transaction().execute((tx) => run(context, tx, items)));
  return {
    read: groupCommit((ids: readonly string[]) => readPayments(db, ids)),
    record: inTransaction(hearAnswers),
    decideCapture: inTransaction(decideCaptures),
    decideRelease: inTransaction(decideReleases),
  };
}
