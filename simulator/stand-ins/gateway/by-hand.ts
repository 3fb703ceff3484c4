import * as z from "zod";
import { type PartnerApp, refuse, send } from "../shared/http.ts";
import type { Books } from "./books.ts";
import type { Intent, Refund } from "./objects.ts";
import { cancelPayment } from "./payments.ts";

// What a person does in the gateway's own screens, and what the customer's bank does days later: the platform has not
// asked for it, and hears of it by a message or a look-up.

const nobody = { requestId: null, idempotencyKey: null };

const byHandSchema = z.strictObject({
  /** The platform's own reference of the payment. */
  reference: z.string().max(100),
  action: z.enum(["capture", "void"]),
  /** Of a capture: less or more than is held. Default: what is held. */
  amountCents: z.int().positive().optional(),
  /** Of a capture: another one than the payment's, for a record that contradicts. */
  currency: z
    .string()
    .regex(/^[a-z]{3}$/)
    .optional(),
});

/** Takes a hold, or a part of it, or more than it: then the record's amount grows, as Stripe's does. */
function captureByHand(
  books: Books,
  intent: Intent,
  taken: { amountCents?: number; currency?: string },
): Intent {
  const amount = taken.amountCents ?? intent.amount;
  const currency = taken.currency ?? intent.currency;
  const captured: Intent = {
    ...intent,
    status: "succeeded",
    amount: Math.max(intent.amount, amount),
    amount_capturable: 0,
    amount_received: amount,
    currency,
  };
  const charge = intent.latest_charge === null ? undefined : books.charges.get(intent.latest_charge);
  if (charge !== undefined)
    books.charges.put(charge.id, { ...charge, captured: true, amount_captured: amount, currency });
  books.intents.put(captured.id, captured);
  books.announce("payment_intent.succeeded", captured.id, captured, nobody);
  return captured;
}

/** The money is back at the gateway: the customer's bank did not take it. */
function failRefund(books: Books, refund: Refund, reason: string): Refund {
  const failed: Refund = { ...refund, status: "failed", failure_reason: reason };
  books.refunds.put(failed.id, failed);
  const charge = books.charges.get(refund.charge);
  if (charge !== undefined)
    books.charges.put(charge.id, {
      ...charge,
      amount_refunded: charge.amount_refunded - refund.amount,
      refunded: false,
    });
  books.announce("refund.failed", refund.payment_intent, failed, nobody);
  books.announce("charge.refund.updated", refund.payment_intent, failed, nobody);
  return failed;
}

export function registerByHand(app: PartnerApp, books: Books, inTransaction: <T>(work: () => T) => T): void {
  app.post("/_control/payments", { schema: { body: byHandSchema } }, (request, reply) => {
    const { reference, action, amountCents, currency } = request.body;
    const held = books
      .settleHolds(books.intents.find("metadata", `reference=${reference}`))
      .find(({ status }) => status === "requires_capture");
    if (held === undefined)
      return send(reply, refuse(409, "nothing_held", `nothing is held for ${reference}`));
    const taken = {
      ...(amountCents === undefined ? {} : { amountCents }),
      ...(currency === undefined ? {} : { currency }),
    };
    return reply.send(
      inTransaction(() =>
        action === "capture"
          ? captureByHand(books, held, taken)
          : cancelPayment(books, held, "requested_by_customer", nobody),
      ),
    );
  });
  app.put(
    "/_control/refunds/:id",
    {
      schema: {
        params: z.object({ id: z.string().max(100) }),
        body: z.strictObject({
          status: z.literal("failed"),
          failureReason: z.string().max(100).default("lost_or_stolen_card"),
        }),
      },
    },
    (request, reply) => {
      const refund = books.refunds.get(request.params.id);
      return refund === undefined || refund.status === "failed"
        ? send(reply, refuse(409, "no_such_refund", `${request.params.id} is no refund that can fail`))
        : reply.send(inTransaction(() => failRefund(books, refund, request.body.failureReason)));
    },
  );
}
