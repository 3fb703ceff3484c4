import type { Context } from "../../../lifecycle/context.ts";
import type { Transaction } from "../../../store/database.ts";
import { hear } from "../hear.ts";
import { lockPayments, type Payment, paymentOf } from "../payment-rows.ts";

// The end of a hold. Whether it is taken or let go is decided once, under the payment's lock, before the gateway is
// asked: the second to come finds the decision and leaves it.

export type Hold = { paymentId: string; gatewayPaymentId: string };

/** Of each activation, in the order asked for: what is to be taken now, `null` where nothing is. */
export async function decideCaptures(
  context: Context,
  tx: Transaction,
  activationIds: readonly string[],
): Promise<(Hold | null)[]> {
  const payments = await lockPayments(tx, activationIds);
  const news = activationIds.map((id) => ({
    payment: paymentOf(payments, id),
    heard: "captureAsked" as const,
  }));
  const heard = await hear(context, tx, news);
  return heard.map(({ payment, effects }) => (effects.includes("mayCapture") ? toHold(payment) : null));
}

/** Of each activation, in the order asked for: what is to be let go now, `null` where nothing is. */
export async function decideReleases(
  context: Context,
  tx: Transaction,
  activationIds: readonly string[],
): Promise<(Hold | null)[]> {
  const payments = await lockPayments(tx, activationIds);
  // Given up before any payment was asked for.
  const unpaid = activationIds.filter((id) => !payments.has(id));
  const voided = unpaid.map((activationId) => ({ activationId, paymentId: null }));
  await context.publish(tx, "servicePaymentVoided", voided);
  const locked = [...new Set(payments.values())];
  const news = locked.map((payment) => ({ payment, heard: "releaseAsked" as const }));
  const heard = await hear(context, tx, news);
  const holds = new Map(
    heard.flatMap(({ payment, effects }) =>
      effects.includes("mayRelease") ? [[payment.activation_id, toHold(payment)]] : [],
    ),
  );
  return activationIds.map((id) => holds.get(id) ?? null);
}

function toHold(payment: Payment): Hold {
  if (payment.gateway_payment_id === null) throw new Error(`payment ${payment.id} is held nowhere`);
  return { paymentId: payment.id, gatewayPaymentId: payment.gateway_payment_id };
}
