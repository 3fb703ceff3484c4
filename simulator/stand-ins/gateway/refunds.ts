import { type Books, type Cause, type Outcome, refused } from "./books.ts";
import { invalidParameter, noSuch } from "./errors.ts";
import type { Charge, Refund } from "./objects.ts";
import type { CreateRefund } from "./parameters.ts";

/** Gives money back. All refunds of a charge together never exceed what was captured. */
export function refundCharge(books: Books, request: CreateRefund, cause: Cause): Outcome<Refund> {
  const found = findCharge(books, request);
  if (found.status === "refused") return found;
  const charge = found.object;
  if (!charge.captured)
    return refused(
      invalidParameter("charge", `charge ${charge.id} was not captured; cancel its payment intent`),
    );
  if (charge.disputed)
    return refused(invalidParameter("charge", `charge ${charge.id} was charged back`, "charge_disputed"));
  const left = charge.amount_captured - charge.amount_refunded;
  if (left === 0)
    return refused(
      invalidParameter("charge", `charge ${charge.id} was refunded in full`, "charge_already_refunded"),
    );
  const amount = request.amount ?? left;
  if (amount > left)
    return refused(
      invalidParameter("amount", `${amount} is more than the ${left} not refunded yet`, "amount_too_large"),
    );
  const refund: Refund = {
    id: books.newId("re"),
    object: "refund",
    amount,
    charge: charge.id,
    created: books.nowSeconds(),
    currency: charge.currency,
    metadata: request.metadata ?? {},
    payment_intent: charge.payment_intent,
    reason: request.reason ?? null,
    status: "succeeded",
  };
  const amountRefunded = charge.amount_refunded + amount;
  const refundedCharge: Charge = {
    ...charge,
    amount_refunded: amountRefunded,
    refunded: amountRefunded === charge.amount_captured,
  };
  books.refunds.put(refund.id, refund);
  books.charges.put(charge.id, refundedCharge);
  books.announce("charge.refunded", charge.payment_intent, refundedCharge, cause);
  return { status: "done", object: refund };
}

function findCharge(books: Books, request: CreateRefund): Outcome<Charge> {
  if (request.charge !== undefined) {
    const charge = books.charges.get(request.charge);
    if (charge === undefined) return refused(noSuch("charge", request.charge, "charge", 400));
    if (request.payment_intent !== undefined && request.payment_intent !== charge.payment_intent)
      return refused(invalidParameter("payment_intent", "the charge belongs to another payment intent"));
    return { status: "done", object: charge };
  }
  if (request.payment_intent === undefined)
    return refused(invalidParameter("payment_intent", "a refund names a payment_intent or a charge"));
  const intent = books.readIntent(request.payment_intent);
  if (intent === undefined)
    return refused(noSuch("payment_intent", request.payment_intent, "payment_intent", 400));
  const charge = intent.latest_charge === null ? undefined : books.charges.get(intent.latest_charge);
  if (charge === undefined)
    return refused(invalidParameter("payment_intent", `payment intent ${intent.id} has no charge to refund`));
  return { status: "done", object: charge };
}
