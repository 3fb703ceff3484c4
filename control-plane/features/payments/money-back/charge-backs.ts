import type { Context } from "../../../lifecycle/context.ts";
import type { GatewayDispute } from "../../../partners/payment-gateway.ts";
import { hearDispute } from "../../../rules/payment-machine.ts";
import type { Transaction } from "../../../store/database.ts";
import type { PaymentWork } from "../batches.ts";
import { hearOfCapture } from "../charge-payment.ts";
import { hear } from "../hear.ts";
import { lockPayments, paidCentsOf, paymentOf } from "../payment-rows.ts";
import { sumRefunds } from "./refunds.ts";

// A customer's bank takes back what was captured (FA5). The message is only a doorbell, like every other: the gateway
// is asked for the disputes of the payment as they are now, so repeated and reordered messages say the same thing.

/** @throws PartnerUnavailable: try again */
export async function reconcileChargeBacks(work: PaymentWork, paymentId: string): Promise<void> {
  const { context, gateway } = work;
  const gatewayPaymentId = await hearOfCapture(work, paymentId);
  if (gatewayPaymentId === null) return;
  for (const dispute of await gateway.listDisputes(gatewayPaymentId))
    await context.db.transaction().execute((tx) => recordDispute(context, tx, paymentId, dispute));
}

/** Records how a dispute stands; hearing it again changes nothing. */
export async function recordDispute(
  context: Context,
  tx: Transaction,
  paymentId: string,
  { gatewayDisputeId, amountCents, reason, status }: GatewayDispute,
): Promise<void> {
  const payment = paymentOf(await lockPayments(tx, [paymentId]), paymentId);
  const known = await tx
    .selectFrom("charge_backs")
    .where("gateway_dispute_id", "=", gatewayDisputeId)
    .select("status")
    .executeTakeFirst();
  const isRefunded = (await sumRefunds(tx, paymentId)) === paidCentsOf(payment);
  const part = { id: gatewayDisputeId, amountCents, reason };
  await hear(
    context,
    tx,
    hearDispute(known?.status, status, isRefunded).map((heard) => ({ payment, heard, part })),
  );
}
