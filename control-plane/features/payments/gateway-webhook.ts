import { sql } from "kysely";
import * as z from "zod";
import { type Refusal, refuse } from "../../http/refusal.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { enqueueEach } from "../../store/jobs.ts";
import { type Payment, reconcilePaymentJob } from "./payment-row.ts";

// The gateway's webhook is a doorbell: it says that something happened to a payment, and the gateway itself is asked
// what. So an old, repeated or reordered message can do no harm.

const intent = z.object({ id: z.string().max(100), metadata: z.record(z.string(), z.string()) });

/** The fields used here; the gateway adds others as it likes. */
export const gatewayEventSchema = z.object({
  id: z.string().min(1).max(100),
  type: z.enum([
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "charge.refunded",
  ]),
  data: z.object({ object: intent }),
});
export type GatewayEvent = z.infer<typeof gatewayEventSchema>;

/** Our own answer is usually on its way already; only a payment still open after this long is asked about. Real time. */
const graceMs = 2_000;

/** Takes in many messages; what each of them came to stands in the same order. A refused one has changed nothing. */
export async function handleGatewayEvents(
  context: Context,
  tx: Transaction,
  events: readonly GatewayEvent[],
): Promise<({ kind: "done" } | Refusal)[]> {
  const references = events.map(({ data }) => {
    const reference = z.uuid().safeParse(data.object.metadata.reference);
    return reference.success ? reference.data : null;
  });
  const payments = await findPayments(
    tx,
    references.filter((reference) => reference !== null),
  );
  const runAt = new Date(context.realClock.now().getTime() + graceMs);
  const questions: { payload: { paymentId: string; gatewayPaymentId: string }; key: string; runAt: Date }[] =
    [];
  const answers = events.map((event, index): { kind: "done" } | Refusal => {
    const payment = payments.get(references[index] ?? "");
    if (payment === undefined) return refuse("notFound", "no payment of ours has this reference");
    if (event.type === "charge.refunded")
      // We refund nothing ourselves yet: somebody did in the gateway's own screens.
      context.logger.warn({ payment: payment.id }, "a charge was refunded at the gateway");
    else if (isWorthAsking(payment.status, event.type))
      questions.push({
        payload: { paymentId: payment.id, gatewayPaymentId: event.data.object.id },
        key: `reconcilePayment:${payment.id}`,
        runAt,
      });
    return { kind: "done" };
  });
  await enqueueEach(tx, reconcilePaymentJob, questions);
  return answers;
}

/** Whether the message can mean something that we do not know yet. */
function isWorthAsking(status: Payment["status"], type: GatewayEvent["type"]): boolean {
  switch (status) {
    case "pending":
    case "presumed":
      return true;
    case "authorised":
      return type !== "payment_intent.amount_capturable_updated";
    case "declined":
    case "voided":
      // Over for us: a hold or a charge that shows up now is a late answer of the bank.
      return type === "payment_intent.amount_capturable_updated" || type === "payment_intent.succeeded";
    case "captured":
    case "recorded":
    case "refunded":
    case "chargedBack":
      return false;
  }
}

type Found = Pick<Payment, "id" | "status">;

async function findPayments(tx: Transaction, ids: readonly string[]): Promise<Map<string, Found>> {
  const rows = await tx
    .selectFrom("payments")
    .where(sql<boolean>`id = any(${[...ids]}::uuid[])`)
    .select(["id", "status"])
    .execute();
  return new Map(rows.map((row) => [row.id, row]));
}
