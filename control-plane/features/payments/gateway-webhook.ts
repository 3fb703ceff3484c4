import { sql } from "kysely";
import * as z from "zod";
import { type Refusal, refuse } from "../../http/refusal.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { enqueue } from "../../store/jobs.ts";
import {
  type Payment,
  reconcileChargeBacksJob,
  reconcilePaymentJob,
  reconcileRefundsJob,
} from "./payment-row.ts";

// The gateway's webhook is a doorbell: it says that something happened to a payment, and the gateway itself is asked
// what. So an old, repeated or reordered message can do no harm.

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
  event(["charge.refunded"], z.object({ id, payment_intent: id, metadata })),
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
type ChargeEvent = Extract<GatewayEvent, { type: `charge.${string}` }>;
type IntentEvent = Exclude<GatewayEvent, ChargeEvent>;

/** Our own answer is usually on its way already; only a payment still open after this long is asked about. Real time. */
const graceMs = 2_000;

/** Takes in many messages; what each of them came to stands in the same order. A refused one has changed nothing. */
export async function handleGatewayEvents(
  context: Context,
  tx: Transaction,
  events: readonly GatewayEvent[],
): Promise<({ kind: "done" } | Refusal)[]> {
  const references = events.map(referenceOf);
  const payments = await findPayments(
    tx,
    references.filter((reference) => reference !== null),
  );
  const runAt = afterGrace(context);
  const questions: { payload: { paymentId: string; gatewayPaymentId: string }; key: string; runAt: Date }[] =
    [];
  const answers: ({ kind: "done" } | Refusal)[] = [];
  for (const [index, event] of events.entries()) {
    if (isAboutCharge(event)) {
      answers.push(await askAboutCharge(context, tx, event));
      continue;
    }
    const payment = payments.get(references[index] ?? "");
    if (payment !== undefined && isWorthAsking(payment.status, event.type))
      questions.push({
        payload: { paymentId: payment.id, gatewayPaymentId: event.data.object.id },
        key: `reconcilePayment:${payment.id}`,
        runAt,
      });
    answers.push(payment === undefined ? unknownPayment : { kind: "done" });
  }
  await enqueue(tx, reconcilePaymentJob, questions);
  return answers;
}

function isAboutCharge(event: GatewayEvent): event is ChargeEvent {
  return event.type.startsWith("charge.");
}

function referenceOf(event: GatewayEvent): string | null {
  if (isAboutCharge(event)) return null;
  const reference = z.uuid().safeParse(event.data.object.metadata.reference);
  return reference.success ? reference.data : null;
}

/** Money that went back, or may have: rare enough to be asked about one by one. */
async function askAboutCharge(
  context: Context,
  tx: Transaction,
  event: ChargeEvent,
): Promise<{ kind: "done" } | Refusal> {
  const gatewayPaymentId = event.data.object.payment_intent;
  const payment = await tx
    .selectFrom("payments")
    .where("gateway_payment_id", "=", gatewayPaymentId)
    .select("id")
    .executeTakeFirst();
  if (payment === undefined) return unknownPayment;
  const paymentId = payment.id;
  if (event.type === "charge.refunded")
    await enqueue(tx, reconcileRefundsJob, [
      {
        payload: { paymentId, gatewayPaymentId },
        key: `reconcileRefunds:${paymentId}`,
        runAt: afterGrace(context),
      },
    ]);
  else
    await enqueue(tx, reconcileChargeBacksJob, [
      { payload: { paymentId }, key: `reconcileChargeBacks:${paymentId}` },
    ]);
  return { kind: "done" };
}

const unknownPayment = refuse("notFound", "no payment of ours has this reference");

function afterGrace(context: Context): Date {
  return new Date(context.realClock.now().getTime() + graceMs);
}

/** Whether the message can mean something that we do not know yet. */
function isWorthAsking(status: Payment["status"], type: IntentEvent["type"]): boolean {
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
