import * as z from "zod";
import type { Refusal } from "../../http/refusal.ts";
import { addCommand, addQuery, type Routing } from "../../http/routes.ts";
import type { VerifyWebhook } from "../../http/webhook-signatures.ts";
import { addWebhook } from "../../http/webhooks.ts";
import type { Context } from "../../lifecycle/context.ts";
import { paymentKinds, paymentStatuses } from "../../rules/payment-machine.ts";
import { gatewayEventSchema, handleGatewayEvents } from "./gateway-webhook.ts";
import { readLedger } from "./ledger/ledger.ts";
import { ledgerKinds } from "./ledger/postings.ts";
import { requestRefund } from "./money-back/refunds.ts";
import { type Payment, readPayments } from "./payment.ts";
import { requestFinalPayment } from "./sale/final-payment.ts";
import { requestReservation } from "./sale/reservation.ts";
import type { Requested } from "./sale/sale.ts";

const tag = "payments";
const instant = z.iso.datetime();
const paymentParams = z.object({ paymentId: z.uuid() });
const expedienteParams = z.object({ expedienteId: z.uuid() });
const paymentMethod = z
  .string()
  .max(100)
  .regex(/^pm_\w+$/, "must be the gateway's id of a payment method, as pm_…");

const paymentSchema = z
  .object({
    paymentId: z.uuid(),
    kind: z.enum(paymentKinds),
    expedienteId: z.uuid().nullable(),
    activationId: z.uuid().nullable(),
    amountCents: z.int(),
    currency: z.string(),
    method: z.enum(["card", "cash", "transfer"]),
    status: z.enum(paymentStatuses),
    declineReason: z.string().nullable(),
    captureBefore: instant.nullable(),
    /** Given back, or on its way back. */
    refundedCents: z.int(),
    createdAt: instant,
    settledAt: instant.nullable(),
  })
  .meta({ id: "Payment" });

export function paymentRoutes(context: Context, verifyWebhook: VerifyWebhook, routing: Routing): void {
  addCommand(routing, {
    url: "/api/expedientes/:expedienteId/reservation-payment",
    tag,
    summary: "Pay the reservation",
    refuses: ["conflict", "ruleRefused"],
    description:
      "A customer names a card (`paymentMethod`); staff record cash or a transfer (`method` and `amountCents`, which must be the agreed reservation). The factory order follows by itself.",
    params: expedienteParams,
    body: z.strictObject({
      paymentMethod: paymentMethod.optional(),
      method: z.enum(["cash", "transfer"]).optional(),
      amountCents: z.int().positive().optional(),
    }),
    status: 202,
    answer: paymentSchema,
    run: async (tx, { principal, params, body }) =>
      answerRequested(await requestReservation(context, tx, principal, params.expedienteId, body)),
  });

  addCommand(routing, {
    url: "/api/expedientes/:expedienteId/final-payment",
    tag,
    summary: "Pay the rest",
    refuses: ["conflict", "ruleRefused"],
    description:
      "The price less the reservation, once the vehicle is ready. A refusal by the bank loses the car.",
    params: expedienteParams,
    body: z.strictObject({ paymentMethod }),
    status: 202,
    answer: paymentSchema,
    run: async (tx, { params, body }) =>
      answerRequested(await requestFinalPayment(context, tx, params.expedienteId, body.paymentMethod)),
  });

  addQuery(routing, {
    url: "/api/payments/:paymentId",
    tag,
    summary: "Read a payment",
    params: paymentParams,
    answer: paymentSchema,
    async run(db, { params }) {
      const [payment] = await readPayments(db, [params.paymentId]);
      return { kind: "done", answer: describePayment(payment) };
    },
  });

  addQuery(routing, {
    url: "/api/payments/:paymentId/ledger",
    tag,
    summary: "Read the ledger of a payment",
    description: "Every effect as one balanced transaction: debits positive, credits negative.",
    params: paymentParams,
    answer: z.object({
      transactions: z.array(
        z.object({
          kind: z.enum(ledgerKinds),
          at: instant,
          postings: z.array(z.object({ account: z.string(), amountCents: z.int(), currency: z.string() })),
        }),
      ),
    }),
    run: async (db, { params }) => ({
      kind: "done",
      answer: { transactions: await readLedger(db, params.paymentId) },
    }),
  });

  addCommand(routing, {
    url: "/api/payments/:paymentId/refunds",
    tag,
    summary: "Give money back",
    refuses: ["conflict"],
    description:
      "Of a captured service payment, a part or all of it, never more than is left. When all is given back the service is withdrawn from the car.",
    params: paymentParams,
    body: z.strictObject({ amountCents: z.int().positive(), reason: z.string().min(3).max(200) }),
    status: 202,
    answer: z.object({ refundId: z.uuid(), payment: paymentSchema }),
    async run(tx, { principal, params, body }) {
      const requested = await requestRefund(context, tx, params.paymentId, {
        ...body,
        requestedBy: principal.userId,
      });
      if (requested.kind === "refused") return requested;
      const { refundId, payment } = requested;
      return { kind: "done", answer: { refundId, payment: describePayment(payment) } };
    },
  });

  addWebhook(routing, {
    url: "/webhooks/payments",
    source: "paymentGateway",
    summary: "Hear from the payment gateway",
    verify: verifyWebhook,
    schema: gatewayEventSchema,
    runMany: (tx, events) => handleGatewayEvents(context, tx, events),
    // A gateway's message is a doorbell that can wait, and most come in bursts.
    lingerMs: 10,
  });
}

type PaymentAnswer = z.input<typeof paymentSchema>;

function answerRequested(requested: Requested | Refusal): { kind: "done"; answer: PaymentAnswer } | Refusal {
  if (requested.kind === "refused") return requested;
  return { kind: "done", answer: describePayment(requested.payment) };
}

function describePayment(row: Payment): PaymentAnswer {
  return {
    paymentId: row.id,
    kind: row.kind,
    expedienteId: row.expediente_id,
    activationId: row.activation_id,
    amountCents: row.amount_cents,
    currency: row.currency,
    method: row.method,
    status: row.status,
    declineReason: row.decline_reason,
    captureBefore: row.capture_before?.toISOString() ?? null,
    refundedCents: row.refunded_cents,
    createdAt: row.created_at.toISOString(),
    settledAt: row.settled_at?.toISOString() ?? null,
  };
}
