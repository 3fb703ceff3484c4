import { sql } from "kysely";
import * as z from "zod";
import { type Refusal, refuse } from "../../http/refusal.ts";
import type { Context } from "../../lifecycle/context.ts";
import { isNews } from "../../rules/payment-machine.ts";
import type { Transaction } from "../../store/database.ts";
import { enqueue } from "../../store/jobs.ts";
import { reconcileChargeBacksJob, reconcilePaymentJob, reconcileRefundsJob } from "./jobs.ts";

// The gateway's webhook is a doorbell: it says that something happened to a payment, and the gateway itself is asked
// what, by our own stored id of that payment. So an old, repeated or reordered message, or one that names another's
// payment, can do no harm.

const id = z.string().min(1).max(100);
const metadata = z.record(z.string(), z.string());
const event = <T extends string, O extends z.ZodType>(types: readonly [T, ...T[]], object: O) =>
  z.object({ id, type: z.enum(types), data: z.object({ object }) });

/** The fields used here; the gateway adds others as it likes. */
export const gatewayEventSchema = z.union([
  event(
    [
      "payment_intent.succeeded",
      "payment_intent.payment_failed",
      "payment_intent.amount_capturable_updated",
      "payment_intent.canceled",
    ],
    z.object({ id, metadata }),
  ),
  // Made, or sent back by the customer's bank.
  event(
    ["charge.refunded", "charge.refund.updated", "refund.updated", "refund.failed"],
    z.object({ id, payment_intent: id }),
  ),
  // A dispute's metadata are its own, so only the payment it names tells whose it is.
  event(
    [
      "charge.dispute.created",
      "charge.dispute.funds_withdrawn",
      "charge.dispute.updated",
      "charge.dispute.closed",
      "charge.dispute.funds_reinstated",
    ],
    z.object({ id, payment_intent: id }),
  ),
]);
export type GatewayEvent = z.infer<typeof gatewayEventSchema>;
type IntentEvent = Extract<GatewayEvent, { type: `payment_intent.${string}` }>;
type DisputeEvent = Extract<GatewayEvent, { type: `charge.dispute.${string}` }>;

/** What the payment would hear if the gateway, when it is asked, said the same. */
const meanings = {
  "payment_intent.succeeded": "captured",
  "payment_intent.payment_failed": "declined",
  "payment_intent.amount_capturable_updated": "held",
  "payment_intent.canceled": "released",
} as const;

/** Our own answer is usually on its way already; only a payment still open after this long is asked about. Real time. */
const graceMs = 2_000;

/** Takes in many messages; the answers are in the same order. A refused one has changed nothing. */
export async function handleGatewayEvents(
  context: Context,
  tx: Transaction,
  events: readonly GatewayEvent[],
): Promise<({ kind: "done" } | Refusal)[]> {
  const payments = await findPayments(tx, events.map(nameOf));
  const heard = events.map((event) => ({ event, payment: payments.get(nameOf(event)) }));
  const runAt = new Date(context.realClock.now().getTime() + graceMs);
  await enqueue(
    tx,
    reconcilePaymentJob,
    heard.flatMap(({ event, payment }) => {
      if (payment === undefined || !isAboutIntent(event) || !isNews(payment, meanings[event.type])) return [];
      return [{ payload: { paymentId: payment.id }, key: `reconcilePayment:${payment.id}`, runAt }];
    }),
  );
  // Money that went back, or may have.
  await enqueue(
    tx,
    reconcileRefundsJob,
    heard.flatMap(({ event, payment }) => {
      if (payment === undefined || isAboutIntent(event) || isAboutDispute(event)) return [];
      return [{ payload: { paymentId: payment.id }, key: `reconcileRefunds:${payment.id}`, runAt }];
    }),
  );
  await enqueue(
    tx,
    reconcileChargeBacksJob,
    heard.flatMap(({ event, payment }) => {
      if (payment === undefined || !isAboutDispute(event)) return [];
      return [{ payload: { paymentId: payment.id }, key: `reconcileChargeBacks:${payment.id}` }];
    }),
  );
  return heard.map(({ payment }) => (payment === undefined ? unknownPayment : { kind: "done" }));
}

const unknownPayment = refuse("notFound", "no payment of ours has this reference");

function isAboutIntent(event: GatewayEvent): event is IntentEvent {
  return event.type.startsWith("payment_intent.");
}

function isAboutDispute(event: GatewayEvent): event is DisputeEvent {
  return event.type.startsWith("charge.dispute.");
}

/** Our own reference, or the gateway's id where a message has only that. */
function nameOf(event: GatewayEvent): string {
  return isAboutIntent(event)
    ? (event.data.object.metadata.reference ?? "")
    : event.data.object.payment_intent;
}

async function findPayments(tx: Transaction, names: readonly string[]) {
  const ids = names.filter((name) => z.uuid().safeParse(name).success);
  const rows = await tx
    .selectFrom("payments")
    .where(sql<boolean>`(id = any(${ids}::uuid[]) or gateway_payment_id = any(${[...names]}::text[]))`)
    .select(["id", "gateway_payment_id", "kind", "status", "settlement"])
    .execute();
  return new Map(rows.flatMap((row) => [[row.id, row] as const, [row.gateway_payment_id, row] as const]));
}
