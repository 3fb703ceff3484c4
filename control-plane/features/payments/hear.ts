import type { Context } from "../../lifecycle/context.ts";
import type { GatewayPayment } from "../../partners/payment-gateway.ts";
import {
  findMismatch,
  mustDecidePayment,
  nameRelease,
  type PaymentEffect,
} from "../../rules/payment-machine.ts";
import type { Transaction } from "../../store/database.ts";
import { type Each, mapEach } from "../../store/map-each.ts";
import { carryOut } from "./carry-out.ts";
import { type Change, heardIn, type News } from "./effect.ts";
import { lockPayments, type Payment, paymentOf } from "./payment-rows.ts";

/** The payment as it is now, and what was caused. */
export type Heard = { payment: Payment; effects: readonly PaymentEffect[] };

/**
 * The interpreter of the payment machine. What is heard of payments, from an answer to our own call, a look-up, a
 * webhook or the car's proof, is decided by its rows and has its effects once: hearing it again changes nothing. The
 * caller has locked the payments in this transaction. One that is in the list twice is judged the second time by what
 * the first has left. The answers are in the order of the list.
 *
 * @throws for what the table calls impossible or refuses: nothing of the transaction may be kept
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
    const { status, settlement, effects } = mustDecidePayment(before, heardIn(news));
    const settled =
      "answer" in news && status !== before.status ? describeAnswer(before, news.answer, at) : {};
    const payment =
      effects.length === 0 ? before : { ...before, ...news.set, ...settled, status, settlement };
    now.set(payment.id, payment);
    changes.push({ before, payment, news, effects, at });
    return { payment, effects };
  });
  await carryOut(context, tx, at, changes);
  return heard;
}

/** The gateway's answers, each about a payment. */
export async function hearAnswers(
  context: Context,
  tx: Transaction,
  all: readonly { paymentId: string; answer: GatewayPayment }[],
): Promise<readonly Heard[]> {
  const ids = all.map(({ paymentId }) => paymentId);
  const payments = await lockPayments(tx, ids);
  /** What contradicts is said once, also where two answers of one list do. */
  const said = new Map([...payments.values()].map(({ id, mismatch }) => [id, mismatch]));
  const judged = all.map(({ paymentId, answer }) => {
    const payment = paymentOf(payments, paymentId);
    const mismatch = findMismatchIn(payment, answer);
    if (mismatch === null) return { payment, news: newsOf(payment, answer) };
    if (said.get(payment.id) === mismatch.field) return { payment, news: null };
    said.set(payment.id, mismatch.field);
    const { field, theirs } = mismatch;
    return { payment, news: { heard: "mismatched" as const, theirs, set: { mismatch: field } } };
  });
  const heard = await hear(
    context,
    tx,
    judged.flatMap(({ payment, news }) => (news === null ? [] : [{ payment, ...news }])),
  );
  const each = heard.values();
  return judged.map(({ payment, news }) =>
    news === null ? { payment, effects: [] } : (each.next().value ?? { payment, effects: [] }),
  );
}

function newsOf({ amount_cents: amountCents }: Payment, answer: GatewayPayment): News {
  const takesOther = answer.status === "captured" && answer.capturedCents !== amountCents;
  return takesOther ? { answer, heard: "capturedOtherAmount" } : { answer };
}

/** Where the answer is about another payment than ours. */
function findMismatchIn(payment: Payment, answer: GatewayPayment) {
  const { record: theirs } = answer;
  if (theirs === undefined) return null;
  const { id, activation_id: activationId, kind, amount_cents: amountCents, currency } = payment;
  const isKnown = "gatewayPaymentId" in answer && answer.gatewayPaymentId === payment.gateway_payment_id;
  const ours = { id, activationId, kind, amountCents, currency, isKnown };
  const field = findMismatch(ours, theirs, answer.status === "captured" ? answer.capturedCents : null);
  return field === null ? null : { field, theirs };
}

function describeAnswer(before: Payment, answer: GatewayPayment, at: Date): Partial<Payment> {
  const named = "gatewayPaymentId" in answer ? (answer.gatewayPaymentId ?? null) : null;
  const gateway_payment_id = before.gateway_payment_id ?? named;
  switch (answer.status) {
    case "held":
      return { gateway_payment_id, capture_before: answer.captureBefore };
    case "unconfirmed":
      // Nobody waits for what was given up or delivered meanwhile.
      return before.status === "pending" && before.settlement !== "void"
        ? { gateway_payment_id, confirm_url: answer.confirmUrl }
        : { gateway_payment_id, settled_at: at, decline_reason: "authentication_required" };
    case "failedForNow":
      return { gateway_payment_id };
    case "captured":
      return { gateway_payment_id, settled_at: at, captured_cents: answer.capturedCents };
    case "released":
      return { gateway_payment_id, settled_at: at, decline_reason: nameRelease(before) };
    case "declined":
    case "invalid":
      return { gateway_payment_id, settled_at: at, decline_reason: answer.reason };
  }
}
