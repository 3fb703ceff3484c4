import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { GatewayPayment } from "../../partners/payment-gateway.ts";
import {
  decidePayment,
  nameRelease,
  type PaymentEffect,
  type PaymentSettlement,
  type PaymentStatus,
  paymentEffects,
} from "../../rules/payment-machine.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { type Each, mapEach } from "../../store/map-each.ts";
import { type Change, type Effect, heardIn, type News } from "./effect.ts";
import { type Entry, findOwed, isChanged, keepBooks } from "./ledger/ledger.ts";
import { moneyBackEffects } from "./money-back/effects.ts";
import { lockPayments, type Payment, paymentOf } from "./payment.ts";
import { saleEffects } from "./sale/effects.ts";
import { serviceEffects } from "./service/effects.ts";

const effects: Readonly<Record<PaymentEffect, Effect>> = {
  ...serviceEffects,
  ...saleEffects,
  ...moneyBackEffects,
};

/** The payment as it is now, and what was caused. */
export type Heard = { payment: Payment; effects: readonly PaymentEffect[] };

/**
 * The interpreter of the payment machine. Whatever is heard of payments, from an answer to our own call, a look-up, a
 * webhook or the car's proof, is decided by its rows, and has its effects once: hearing it again changes nothing. The
 * caller has locked the payments in this transaction; one that is in the list twice is judged the second time by what
 * the first has left. The answers are in the order of the list.
 *
 * @throws for what the table calls impossible or refuses (a request is decided before it is heard): nothing of the
 *   transaction may be kept
 */
export async function hear<const All extends readonly (News & { payment: Payment })[]>(
  context: Context,
  tx: Transaction,
  all: All,
): Promise<Each<All, Heard>> {
  const at = context.clock.now();
  const now = new Map<string, Payment>();
  const changes: Change[] = [];
  const heard = mapEach(all, (news): Heard => {
    const before = now.get(news.payment.id) ?? news.payment;
    const decision = decidePayment(before, heardIn(news));
    if (decision.kind === "refused") throw new Error(decision.message);
    const { effects: caused } = decision;
    const payment = caused.length === 0 ? before : applyNews(before, news, decision, at);
    now.set(payment.id, payment);
    changes.push({ before, payment, news, effects: caused, at });
    return { payment, effects: caused };
  });
  const changed = changes.flatMap(({ before, payment }) => (isChanged(before, payment) ? [payment.id] : []));
  await keepBooks(
    tx,
    at,
    [...new Set(changed)].flatMap((id) => now.get(id) ?? []),
    await listEntries(tx, changes),
  );
  await carryOut(context, tx, changes);
  return heard;
}

/** The gateway's answers, each about a payment. */
export async function hearAnswers(
  context: Context,
  tx: Transaction,
  all: readonly { paymentId: string; answer: GatewayPayment }[],
): Promise<readonly Heard[]> {
  const payments = await lockPayments(
    tx,
    all.map(({ paymentId }) => paymentId),
  );
  return hear(
    context,
    tx,
    all.map(({ paymentId, answer }) => ({ payment: paymentOf(payments, paymentId), answer })),
  );
}

export type NewPayment = Pick<
  Payment,
  | "kind"
  | "expediente_id"
  | "activation_id"
  | "customer_id"
  | "amount_cents"
  | "currency"
  | "method"
  | "payment_method"
  | "recorded_by"
>;

/** Payments begin. An activation that has one already gets no second. */
export async function openPayments(
  context: Context,
  tx: Transaction,
  heard: "requested" | "recordedByStaff",
  all: readonly NewPayment[],
): Promise<readonly Payment[]> {
  const at = context.clock.now();
  const caused = new Map<string, readonly PaymentEffect[]>();
  const rows = all.map((payment) => {
    const decision = decidePayment({ kind: payment.kind, status: "start", settlement: null }, heard);
    if (decision.kind === "refused") throw new Error(decision.message);
    const id = newId();
    caused.set(id, decision.effects);
    const { status } = decision;
    return { ...payment, id, status, created_at: at, settled_at: status === "pending" ? null : at };
  });
  const { rows: payments } = await sql<Payment>`
    insert into payments (id, kind, expediente_id, activation_id, customer_id, amount_cents, currency, method,
                          payment_method, recorded_by, status, created_at, settled_at)
    select id, kind, expediente_id, activation_id, customer_id, amount_cents, currency, method,
           payment_method, recorded_by, status, created_at, settled_at
    from jsonb_populate_recordset(null::payments, ${JSON.stringify(rows)}::jsonb)
    on conflict (activation_id) do nothing
    returning *`.execute(tx);
  const changes = payments.map(
    (payment): Change => ({
      before: payment,
      payment,
      news: { heard },
      effects: caused.get(payment.id) ?? [],
      at,
    }),
  );
  await keepBooks(tx, at, [], await listEntries(tx, changes));
  await carryOut(context, tx, changes);
  return payments;
}

function applyNews(
  before: Payment,
  news: News,
  { status, settlement }: { status: PaymentStatus; settlement: PaymentSettlement },
  at: Date,
): Payment {
  const settled = "answer" in news && status !== before.status ? describeAnswer(before, news.answer, at) : {};
  return { ...before, ...news.set, ...settled, status, settlement };
}

function describeAnswer(before: Payment, answer: GatewayPayment, at: Date): Partial<Payment> {
  const named = "gatewayPaymentId" in answer ? answer.gatewayPaymentId : null;
  const gateway_payment_id = before.gateway_payment_id ?? named;
  switch (answer.status) {
    case "held":
      return { gateway_payment_id, capture_before: answer.captureBefore };
    case "captured":
      return { gateway_payment_id, settled_at: at };
    case "released":
      return { gateway_payment_id, settled_at: at, decline_reason: nameRelease(before) };
    case "declined":
    case "invalid":
      return { gateway_payment_id, settled_at: at, decline_reason: answer.reason };
  }
}

async function listEntries(tx: Transaction, changes: readonly Change[]): Promise<Entry[]> {
  const posts = changes.flatMap((change) =>
    change.effects.flatMap((effect) => {
      const kinds = effects[effect].posts;
      return kinds === undefined ? [] : [{ change, kinds }];
    }),
  );
  const owed = await findOwed(
    tx,
    posts.flatMap(({ kinds, change }) => (typeof kinds === "string" ? [] : [change.payment])),
  );
  return posts.map(({ change: { payment, news }, kinds }) => {
    const [effectId, amountCents] =
      "part" in news ? [news.part.id, news.part.amountCents] : [null, payment.amount_cents];
    const kind = typeof kinds === "string" ? kinds : owed.has(payment.id) ? kinds.owed : kinds.earned;
    return { payment, kind, amountCents, effectId };
  });
}

async function carryOut(context: Context, tx: Transaction, changes: readonly Change[]): Promise<void> {
  for (const effect of paymentEffects) {
    const caused = changes.filter((change) => change.effects.includes(effect));
    if (caused.length > 0) await effects[effect].carryOut?.(context, tx, caused);
  }
}
