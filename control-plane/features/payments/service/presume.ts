import type { Context } from "../../../lifecycle/context.ts";
import { isNews } from "../../../rules/payment-machine.ts";
import {
  decidePresumption,
  type PresumptionDecision,
  type PresumptionLimits,
  presumptionRules,
} from "../../../rules/presumption-policy.ts";
import type { Transaction } from "../../../store/database.ts";
import { hear } from "../hear.ts";
import { lockPayments, type Payment, paymentOf } from "../payment-rows.ts";
import { readExposure, takeExposure } from "./exposure.ts";

/**
 * The gateway was asked for a payment and did not answer, whether it did it or not. Within the limits a service's
 * payment is presumed to have succeeded, and the service delivered (FA4); any other waits until it is known.
 */
export async function presumePayment(
  context: Context,
  tx: Transaction,
  limits: PresumptionLimits,
  paymentId: string,
): Promise<PresumptionDecision["kind"]> {
  const payment = paymentOf(await lockPayments(tx, [paymentId]), paymentId);
  // A webhook's look-up may have been quicker than the time-out.
  if (!isNews(payment, "waits")) return "waits";
  const decision = await decide(tx, payment, limits);
  if (decision.kind === "presumed")
    await hear(context, tx, [{ payment, heard: "presumed", set: { waits_because: null } }]);
  // Said once for each reason, however often the gateway is asked in vain.
  else if (payment.waits_because !== decision.rule)
    await hear(context, tx, [{ payment, heard: "waits", set: { waits_because: decision.rule } }]);
  return decision.kind;
}

async function decide(
  tx: Transaction,
  payment: Payment,
  limits: PresumptionLimits,
): Promise<PresumptionDecision> {
  const { customer_id: customerId, amount_cents: amountCents } = payment;
  const past = await tx
    .selectFrom("payments")
    .where("customer_id", "=", customerId)
    .where("method", "=", "card")
    .where("status", "=", "captured")
    .select("id")
    .limit(1)
    .execute();
  const chargeBacks = await tx
    .selectFrom("charge_backs")
    .innerJoin("payments", "payments.id", "charge_backs.payment_id")
    .where("payments.customer_id", "=", customerId)
    .select("charge_backs.payment_id")
    .execute();
  const decision = decidePresumption(
    {
      kind: payment.kind,
      wanted: payment.settlement !== "void",
      amountCents,
      earlierCaptures: past.length,
      chargeBacks: chargeBacks.length,
      ...(await readExposure(tx, customerId)),
    },
    limits,
  );
  if (decision.kind === "waits") return decision;
  // What was read may be old by now: the caps are held by this.
  const taken = await takeExposure(tx, { customerId, amountCents }, limits);
  return taken.kind === "taken"
    ? decision
    : { kind: "waits", rule: taken.rule, reason: presumptionRules[taken.rule].refusal };
}
