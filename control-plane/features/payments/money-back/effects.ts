import type { Context } from "../../../lifecycle/context.ts";
import type { DomainEvents } from "../../../lifecycle/events.ts";
import type { Transaction } from "../../../store/database.ts";
import { ask, type Change, type Effect, heardIn, inTurn, log, partOf, serviceOf, tell } from "../effect.ts";
import { refundJob } from "../jobs.ts";
import { type Payment, paidCentsOf } from "../payment-rows.ts";

/** What is caused by money that goes back, or that came against what we had said. */
export const moneyBackEffects = {
  postRefund: { posts: { earned: "paymentRefunded", owed: "depositRefunded" } },
  postRefundFailed: { posts: { earned: "refundFailed", owed: "depositRefundFailed" } },
  startRefund: ask(refundJob, (change) => ({ refundId: partOf(change).id })),
  giveUpRefund: tell("taskNeeded", (change) => ({ kind: "refundRefused", ...describePart(change) })),
  tellRefunded: tell("servicePaymentRefunded", (change) => {
    const { amountCents, reason } = partOf(change);
    return { ...serviceOf(change), amountCents, reason, isWhole: heardIn(change.news) === "refundedInFull" };
  }),

  reportRefundFailed: tell("taskNeeded", (change) => ({ kind: "refundFailed", ...describePart(change) })),
  tellRefundFailed: tell("serviceRefundFailed", (change) => {
    const { amountCents, reason } = partOf(change);
    return { ...serviceOf(change), amountCents, reason };
  }),
  reportGivenBackTwice: tell("taskNeeded", (change) => ({
    kind: "givenBackTwice",
    ...describePart(change),
  })),

  openChargeBack: {
    posts: { earned: "chargedBack", owed: "depositChargedBack" },
    ...inTurn(
      { carryOut: insertChargeBacks },
      tell("taskNeeded", (change) => ({ kind: "chargeBack", ...describePart(change) })),
    ),
  },
  winChargeBack: {
    posts: { earned: "chargeBackWon", owed: "depositChargeBackWon" },
    ...inTurn(
      { carryOut: closeChargeBacks("won") },
      // The customer has paid after all and the service is gone: switch it on again, or give the money back?
      tell("taskNeeded", (change) => ({
        kind: "chargeBackWon",
        detail: { paymentId: change.payment.id, amountCents: partOf(change).amountCents },
        subject: subjectOf(change.payment),
      })),
    ),
  },
  loseChargeBack: { carryOut: closeChargeBacks("lost") },
  tellChargedBack: tell("servicePaymentChargedBack", (change) => {
    const { amountCents, reason } = partOf(change);
    return { ...serviceOf(change), amountCents, reason };
  }),
  tellChargeBackClosed: tell("serviceChargeBackClosed", (change) => ({
    ...serviceOf(change),
    amountCents: partOf(change).amountCents,
    status: heardIn(change.news) === "chargeBackLost" ? "lost" : "won",
  })),

  reportContradiction: inTurn(
    log("payments contradict"),
    tell("taskNeeded", ({ before, payment, news }) => {
      const { id: paymentId, status: ours } = before;
      const taken = "answer" in news && news.answer.status === "captured" ? news.answer : null;
      const amountCents = taken?.capturedCents ?? paidCentsOf(payment);
      const detail = { paymentId, ours, atGateway: taken?.status ?? ours, amountCents };
      return { kind: "paymentContradiction", detail, subject: subjectOf(before) };
    }),
  ),
  reportOtherAmount: tell("taskNeeded", ({ payment }) => {
    const { id: paymentId, amount_cents: amountCents } = payment;
    const detail = { paymentId, amountCents, takenCents: paidCentsOf(payment) };
    return { kind: "otherAmountTaken", detail, subject: subjectOf(payment) };
  }),
  reportMismatch: inTurn(
    log("the gateway speaks of another payment"),
    tell("taskNeeded", ({ payment, news }) => {
      const { id: paymentId, mismatch, amount_cents: amountCents, currency } = payment;
      if (!("theirs" in news) || mismatch === null) throw new Error(`payment ${paymentId} does not differ`);
      const { theirs } = news;
      const detail = {
        paymentId,
        differs: mismatch,
        amountCents,
        currency,
        theirReference: theirs.reference ?? "none",
        theirAmountCents: theirs.amountCents,
        theirCurrency: theirs.currency,
      };
      return { kind: "paymentMismatch", detail, subject: subjectOf(payment) };
    }),
  ),
} as const satisfies Record<string, Effect>;

function describePart(change: Change): Pick<DomainEvents["taskNeeded"], "detail" | "subject"> {
  const { payment } = change;
  const { amountCents, reason } = partOf(change);
  return { detail: { paymentId: payment.id, amountCents, reason }, subject: subjectOf(payment) };
}

export function subjectOf({
  id: paymentId,
  expediente_id: expedienteId,
  activation_id: activationId,
}: Payment) {
  return {
    paymentId,
    ...(expedienteId === null ? {} : { expedienteId }),
    ...(activationId === null ? {} : { activationId }),
  };
}

async function insertChargeBacks(_context: Context, tx: Transaction, changes: readonly Change[]) {
  const rows = changes.map((change) => {
    const { id, amountCents, reason } = partOf(change);
    return {
      gateway_dispute_id: id,
      payment_id: change.payment.id,
      amount_cents: amountCents,
      reason,
      status: "open" as const,
      opened_at: change.at,
    };
  });
  await tx.insertInto("charge_backs").values(rows).execute();
}

function closeChargeBacks(status: "won" | "lost") {
  return async (context: Context, tx: Transaction, changes: readonly Change[]): Promise<void> => {
    const ids = changes.map((change) => partOf(change).id);
    await tx
      .updateTable("charge_backs")
      .set({ status, closed_at: context.clock.now() })
      .where("gateway_dispute_id", "in", ids)
      .execute();
  };
}
