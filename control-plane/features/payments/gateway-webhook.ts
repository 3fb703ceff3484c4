import * as z from "zod";
import { type Refusal, refuse } from "../../http/refusal.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { enqueue } from "../../store/jobs.ts";
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

export async function handleGatewayEvent(
  context: Context,
  tx: Transaction,
  event: GatewayEvent,
): Promise<{ kind: "done" } | Refusal> {
  const { id: gatewayPaymentId, metadata } = event.data.object;
  const reference = z.uuid().safeParse(metadata.reference);
  const payment = reference.success ? await findPayment(tx, reference.data) : undefined;
  if (payment === undefined) return refuse("notFound", "no payment of ours has this reference");
  if (event.type === "charge.refunded") {
    // We refund nothing ourselves yet: somebody did in the gateway's own screens.
    context.logger.warn({ payment: payment.id }, "a charge was refunded at the gateway");
    return { kind: "done" };
  }
  if (isWorthAsking(payment.status, event.type))
    await enqueue(
      tx,
      reconcilePaymentJob,
      { paymentId: payment.id, gatewayPaymentId },
      {
        key: `reconcilePayment:${payment.id}`,
        runAt: new Date(context.realClock.now().getTime() + graceMs),
      },
    );
  return { kind: "done" };
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

async function findPayment(tx: Transaction, id: string): Promise<Pick<Payment, "id" | "status"> | undefined> {
  return tx.selectFrom("payments").where("id", "=", id).select(["id", "status"]).executeTakeFirst();
}
