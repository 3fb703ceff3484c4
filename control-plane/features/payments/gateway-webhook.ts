import { type Selectable, sql } from "kysely";
import * as z from "zod";
import { refuse } from "../../http/refusal.ts";
import type { Handled, Heard, Reading } from "../../http/webhook-messages.ts";
import type { Context } from "../../lifecycle/context.ts";
import { isNews } from "../../rules/payment-machine.ts";
import type { Reader } from "../../store/database.ts";
import { enqueue } from "../../store/jobs.ts";
import type { Database } from "../../store/schema.ts";
import { reconcileChargeBacksJob, reconcilePaymentJob, reconcileRefundsJob } from "./jobs.ts";

// The gateway's webhook is a doorbell: it says that something happened to a payment, and the gateway itself is asked
// what, by our own stored id of that payment. So an old, repeated or reordered message, or one that names another's
// payment, can do no harm. The account may serve other shops, too: most of what it says may be about their payments.

const id = z.string().min(1).max(100);
const metadata = z.object({ reference: z.string().optional().catch(undefined) });
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
      "payment_intent.requires_action",
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
  "payment_intent.requires_action": "unconfirmed",
} as const;

/** Our own answer is usually on its way already; only a payment still open after this long is asked about. Real time. */
const graceMs = 2_000;

const named = z.object({ type: z.string() });
const usedTypes = new Set<string>(gatewayEventSchema.options.flatMap(({ shape }) => shape.type.options));

/** What has not the fields of our own payments is about others'. */
export function readGatewayEvent(body: unknown): Reading<GatewayEvent> {
  const { type } = named.safeParse(body).data ?? {};
  if (type === undefined) return { kind: "ignored", reason: "unreadable" };
  if (!usedTypes.has(type)) return { kind: "ignored", reason: "unknownType" };
  const event = gatewayEventSchema.safeParse(body).data;
  if (event === undefined || nameOf(event) === null) return { kind: "ignored", reason: "foreign" };
  return { kind: "event", event, reference: null };
}

type Known = Pick<Selectable<Database["payments"]>, "id" | "kind" | "status" | "settlement">;

/** Whether an event could change anything of its payment, or is about one that we do not know. One read. */
export async function areGatewayNews(
  { db }: Context,
  events: readonly GatewayEvent[],
): Promise<readonly boolean[]> {
  const payments = await findPayments(db, events);
  return events.map((event, index) => {
    const payment = payments[index];
    return payment === undefined || !isAboutIntent(event) || isNews(payment, meanings[event.type]);
  });
}

/** Takes in many messages; the answers are in the same order. Nothing is written when there is no news. */
export async function handleGatewayEvents(
  context: Context,
  all: readonly Heard<GatewayEvent>[],
): Promise<Handled[]> {
  const payments = await findPayments(
    context.db,
    all.map(({ event }) => event),
  );
  const heard = all.map(({ event, attempt }, index) => ({ event, attempt, payment: payments[index] }));
  const runAt = new Date(context.realClock.now().getTime() + graceMs);
  const reconcile = heard.flatMap(({ event, payment }) => {
    if (payment === undefined || !isAboutIntent(event) || !isNews(payment, meanings[event.type])) return [];
    return [{ payload: { paymentId: payment.id }, key: `reconcilePayment:${payment.id}`, runAt }];
  });
  // Money that went back, or may have.
  const refunds = heard.flatMap(({ event, payment }) => {
    if (payment === undefined || isAboutIntent(event) || isAboutDispute(event)) return [];
    return [{ payload: { paymentId: payment.id }, key: `reconcileRefunds:${payment.id}`, runAt }];
  });
  const chargeBacks = heard.flatMap(({ event, payment }) => {
    if (payment === undefined || !isAboutDispute(event)) return [];
    return [{ payload: { paymentId: payment.id }, key: `reconcileChargeBacks:${payment.id}` }];
  });
  if (reconcile.length + refunds.length + chargeBacks.length > 0)
    await context.db.transaction().execute(async (tx) => {
      await enqueue(tx, reconcilePaymentJob, reconcile);
      await enqueue(tx, reconcileRefundsJob, refunds);
      await enqueue(tx, reconcileChargeBacksJob, chargeBacks);
    });
  return heard.map(({ event, attempt, payment }) => {
    if (payment !== undefined) return { kind: "done" };
    // Only the gateway's id is known, and ours may be recorded a moment later.
    if (!isAboutIntent(event) && attempt < chargeTries)
      return refuse("notFound", "no payment of ours is known by this id of the gateway");
    return { kind: "foreign" };
  });
}

/** Half a minute, after which a charge of an unknown payment is another shop's. */
const chargeTries = 4;

function isAboutIntent(event: GatewayEvent): event is IntentEvent {
  return event.type.startsWith("payment_intent.");
}

function isAboutDispute(event: GatewayEvent): event is DisputeEvent {
  return event.type.startsWith("charge.dispute.");
}

/** Our own reference, or the gateway's id where a message has only that; `null`: no reference that could be ours. */
function nameOf(event: GatewayEvent): string | null {
  if (!isAboutIntent(event)) return event.data.object.payment_intent;
  const { reference } = event.data.object.metadata;
  return reference !== undefined && z.uuid().safeParse(reference).success ? reference : null;
}

/** The payment of each event, in the same order; `undefined`: none of ours. */
async function findPayments(
  db: Reader,
  events: readonly GatewayEvent[],
): Promise<readonly (Known | undefined)[]> {
  const names = events.map((event) => nameOf(event) ?? "");
  const ids = names.filter((name) => z.uuid().safeParse(name).success);
  const rows = await db
    .selectFrom("payments")
    .where(sql<boolean>`(id = any(${ids}::uuid[]) or gateway_payment_id = any(${names}::text[]))`)
    .select(["id", "gateway_payment_id", "kind", "status", "settlement"])
    .execute();
  const byName = new Map(
    rows.flatMap((row) => [[row.id, row] as const, [row.gateway_payment_id, row] as const]),
  );
  return names.map((name) => byName.get(name));
}
