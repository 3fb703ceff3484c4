import * as z from "zod";
import type { PartnerApp } from "../shared/http.ts";
import { refuse, send } from "../shared/http.ts";
import type { Ledger } from "./ledger.ts";
import { type Charge, type Dispute, disputeReasons } from "./objects.ts";

// Charge-backs: the cardholder's bank takes a captured charge back, and later says whether it keeps it. Nobody asks
// for one through the API; the control entrance plays the bank. https://docs.stripe.com/disputes

const nobody = { requestId: null, idempotencyKey: null };

/** The bank takes what is left of the charge; `undefined` where there is nothing to take. */
export function openDispute(ledger: Ledger, charge: Charge, reason: Dispute["reason"]): Dispute | undefined {
  const amount = charge.amount_captured - charge.amount_refunded;
  if (amount <= 0 || charge.disputed) return undefined;
  const dispute: Dispute = {
    id: ledger.newId("dp"),
    object: "dispute",
    amount,
    charge: charge.id,
    created: ledger.nowSeconds(),
    currency: charge.currency,
    is_charge_refundable: false,
    livemode: false,
    metadata: {},
    payment_intent: charge.payment_intent,
    reason,
    status: "needs_response",
  };
  ledger.disputes.put(dispute.id, dispute);
  ledger.charges.put(charge.id, { ...charge, disputed: true });
  ledger.announce("charge.dispute.created", charge.payment_intent, dispute, nobody);
  ledger.announce("charge.dispute.funds_withdrawn", charge.payment_intent, dispute, nobody);
  return dispute;
}

/** The bank's last word. `won`: the money comes back to the platform. */
export function closeDispute(ledger: Ledger, dispute: Dispute, status: "won" | "lost"): Dispute {
  const closed: Dispute = { ...dispute, status };
  ledger.disputes.put(closed.id, closed);
  ledger.announce("charge.dispute.closed", dispute.payment_intent, closed, nobody);
  if (status === "won")
    ledger.announce("charge.dispute.funds_reinstated", dispute.payment_intent, closed, nobody);
  return closed;
}

export function registerDisputeControl(
  app: PartnerApp,
  ledger: Ledger,
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
      const charges = ledger.intents
        .find("metadata", `reference=${reference}`)
        .flatMap((intent) => ledger.charges.find("intent", intent.id));
      const taken = charges.find((charge) => charge.amount_captured > 0);
      const dispute =
        taken === undefined ? undefined : inTransaction(() => openDispute(ledger, taken, reason));
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
      const dispute = ledger.disputes.get(request.params.id);
      return dispute === undefined || dispute.status !== "needs_response"
        ? send(reply, refuse(409, "no_open_dispute", `${request.params.id} is no open dispute`))
        : reply.send(inTransaction(() => closeDispute(ledger, dispute, request.body.status)));
    },
  );
}
