import * as z from "zod";
import type { PartnerApp } from "../shared/http.ts";
import { refuse, send } from "../shared/http.ts";
import type { Books } from "./books.ts";
import { type Charge, type Dispute, disputeReasons } from "./objects.ts";

// Charge-backs: the cardholder's bank takes a captured charge back, and later says whether it keeps it. That is not asked
// for through the API; the control entrance acts as the bank. https://docs.stripe.com/disputes

const noRequest = { requestId: null, idempotencyKey: null };

/** The bank takes what is left of the charge; `undefined` where there is nothing to take. */
export function openDispute(books: Books, charge: Charge, reason: Dispute["reason"]): Dispute | undefined {
  const amount = charge.amount_captured - charge.amount_refunded;
  if (amount <= 0 || charge.disputed) return undefined;
  const dispute: Dispute = {
    id: books.newId("dp"),
    object: "dispute",
    amount,
    charge: charge.id,
    created: books.nowSeconds(),
    currency: charge.currency,
    is_charge_refundable: false,
    livemode: false,
    metadata: {},
    payment_intent: charge.payment_intent,
    reason,
    status: "needs_response",
  };
  books.disputes.put(dispute.id, dispute);
  books.charges.put(charge.id, { ...charge, disputed: true });
  books.announce("charge.dispute.created", charge.payment_intent, dispute, noRequest);
  books.announce("charge.dispute.funds_withdrawn", charge.payment_intent, dispute, noRequest);
  return dispute;
}

/** The bank's final decision. `won`: the money comes back to the platform. */
export function closeDispute(books: Books, dispute: Dispute, status: "won" | "lost"): Dispute {
  const closed: Dispute = { ...dispute, status };
  books.disputes.put(closed.id, closed);
  books.announce("charge.dispute.closed", dispute.payment_intent, closed, noRequest);
  if (status === "won")
    books.announce("charge.dispute.funds_reinstated", dispute.payment_intent, closed, noRequest);
  return closed;
}

export function registerDisputeControl(
  app: PartnerApp,
  books: Books,
  inTransaction: <T>(work: () => T) => T,
): void {
  app.post(
    "/_control/disputes",
    {
      schema: {
        body: z.strictObject({
          /** The platform's own reference of the payment. */
          reference: z.string().max(100),
          reason: z.enum(disputeReasons).default("fraudulent"),
        }),
      },
    },
    (request, reply) => {
      const { reference, reason } = request.body;
      const charges = books.intents
        .find("metadata", `reference=${reference}`)
        .flatMap((intent) => books.charges.find("intent", intent.id));
      const taken = charges.find((charge) => charge.amount_captured > 0);
      const dispute =
        taken === undefined ? undefined : inTransaction(() => openDispute(books, taken, reason));
      return dispute === undefined
        ? send(reply, refuse(409, "nothing_to_dispute", `nothing of ${reference} can be charged back`))
        : reply.status(201).send(dispute);
    },
  );
  app.put(
    "/_control/disputes/:id",
    {
      schema: {
        params: z.object({ id: z.string().max(100) }),
        body: z.strictObject({ status: z.enum(["won", "lost"]) }),
      },
    },
    (request, reply) => {
      const dispute = books.disputes.get(request.params.id);
      return dispute === undefined || dispute.status !== "needs_response"
        ? send(reply, refuse(409, "no_open_dispute", `${request.params.id} is no open dispute`))
        : reply.send(inTransaction(() => closeDispute(books, dispute, request.body.status)));
    },
  );
}
