import type { Context } from "../../lifecycle/context.ts";
import type { GatewayPayment } from "../../partners/payment-gateway.ts";
import { groupCommit } from "../../store/group-commit.ts";
import { type Payment, readPayments } from "./payment-row.ts";
import { recordOutcomes } from "./record-many.ts";
import { decideCaptures, type Hold } from "./settle-hold.ts";

/** What the jobs of payments ask of the database: hundreds run at a time, and what they ask together is one question. */
export type PaymentDesk = {
  read(paymentId: string): Promise<Payment>;
  record(paymentId: string, outcome: GatewayPayment): Promise<void>;
  /** Decides that a hold is taken; `null` where there is nothing to take. */
  decideCapture(activationId: string): Promise<Hold | null>;
};

export function createPaymentDesk(context: Context): PaymentDesk {
  const { db } = context;
  const record = groupCommit(async (outcomes: readonly { paymentId: string; outcome: GatewayPayment }[]) => {
    await db.transaction().execute((tx) => recordOutcomes(context, tx, outcomes));
    return outcomes.map(() => undefined);
  });
  return {
    read: groupCommit((ids: readonly string[]) => readPayments(db, ids)),
    record: (paymentId, outcome) => record({ paymentId, outcome }),
    decideCapture: groupCommit((ids: readonly string[]) =>
      db.transaction().execute((tx) => decideCaptures(context, tx, ids)),
    ),
  };
}
