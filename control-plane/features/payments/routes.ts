import * as z from "zod";
import { lineOfText } from "../../http/contact-fields.ts";
import { type Refusal, refuse } from "../../http/refusal.ts";
import { addCommand, addQuery, type Routing } from "../../http/routes.ts";
import type { Sender } from "../../http/webhook-messages.ts";
import type { VerifyWebhook } from "../../http/webhook-signatures.ts";
import { addWebhook } from "../../http/webhooks.ts";
import type { Context } from "../../lifecycle/context.ts";
import { readDecline } from "../../rules/decline-table.ts";
import { paymentKinds, paymentStatuses } from "../../rules/payment-machine.ts";
import { areGatewayNews, type GatewayEvent, gatewayEventSchema } from "./gateway-webhook.ts";
import { readLedger } from "./ledger/ledger.ts";
import { ledgerKinds } from "./ledger/postings.ts";
import { requestRefund } from "./money-back/refunds.ts";
import { findPaymentOf, type Payment, readPayments } from "./payment-rows.ts";
import { requestFinalPayment } from "./sale/final-payment.ts";
import { requestReservation } from "./sale/reservation.ts";
import type { Requested } from "./sale/sale.ts";
import { takeSecondLook } from "./sale/second-look.ts";

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
    id: z.uuid(),
    kind: z.enum(paymentKinds),
    expedienteId: z.uuid().nullable(),
    activationId: z.uuid().nullable(),
    amountCents: z.int(),
    currency: z.string(),
    method: z.enum(["card", "cash", "transfer"]),
    status: z.enum(paymentStatuses),
    declineReason: z.string().nullable(),
    decline: z
      .object({
        reason: z
          .string()
          .meta({ description: "The gateway's code, or our own", example: "insufficient_funds" }),
        isRefusal: z.boolean().meta({ description: "Whether the bank refused: only that can cost the car" }),
        advice: z.string().meta({
          description: "What the customer may do",
          example: "Use another card, or ask your bank for a higher limit.",
        }),
      })
      .nullable()
      .meta({ description: "Why the payment was not made" }),
    confirmation: z
      .object({
        url: z.url().meta({ description: "The bank's page", example: "https://hooks.stripe.com/3ds/pi_1" }),
        confirmBy: instant.nullable().meta({
          description: "Until when; afterwards the payment counts as refused",
          example: "2026-03-03T09:00:00.000Z",
        }),
      })
      .nullable()
      .meta({ description: "Of an `unconfirmed` payment: where the customer confirms it (3-D Secure)" }),
    payer: z.string().nullable().meta({
      description: "Of a transfer from someone other than the customer",
      example: "Leasing Ibérica S.A.",
    }),
    captureBefore: instant.nullable(),
    /** What the gateway took; `null` where it took nothing. */
    capturedCents: z.int().nullable(),
    /** Given back, or on its way back. */
    refundedCents: z.int(),
    createdAt: instant,
    settledAt: instant.nullable(),
  })
  .meta({ id: "Payment" });

/** How staff or a customer say that a sale's payment is made. */
const meansSchema = z.strictObject({
  paymentMethod: paymentMethod.optional().meta({
    description: "The customer's card, by the gateway's id",
    example: "pm_card_visa",
  }),
  method: z
    .enum(["cash", "transfer"])
    .optional()
    .meta({ description: "As staff took it", example: "transfer" }),
  amountCents: z
    .int()
    .positive()
    .optional()
    .meta({ description: "As staff took it; exactly what is due", example: 50_000 }),
  payer: lineOfText(200).optional().meta({
    description: "From whom staff took it, where that is not the customer: a leasing company, a relative",
    example: "Leasing Ibérica S.A.",
  }),
});

export function paymentRoutes(
  context: Context,
  {
    verifyWebhook,
    sender,
    secondLookCents,
  }: { verifyWebhook: VerifyWebhook; sender: Sender<GatewayEvent>; secondLookCents: number },
  routing: Routing,
): void {
  addCommand(routing, {
    url: "/api/expedientes/:expedienteId/reservation-payment",
    tag,
    summary: "Pay the reservation",
    refuses: ["conflict", "ruleRefused"],
    description:
      "A customer names a card (`paymentMethod`); staff record cash or a transfer (`method` and `amountCents`, which must be the agreed reservation). The factory order follows by itself.",
    params: expedienteParams,
    body: meansSchema,
    status: 202,
    answer: paymentSchema,
    run: async (tx, { principal, params, body }) =>
      answerRequested(
        await requestReservation(context, tx, {
          principal,
          expedienteId: params.expedienteId,
          means: body,
          secondLookCents,
        }),
      ),
  });

  addCommand(routing, {
    url: "/api/expedientes/:expedienteId/final-payment",
    tag,
    summary: "Pay the rest",
    refuses: ["conflict", "ruleRefused"],
    description:
      "The price less the reservation, once the vehicle is ready. A customer names a card; a refusal by the bank loses the car, unless the terms allow more. Staff record a bank transfer (`method`, `amountCents`), which from a configured amount on counts when a second member of staff has looked at it.",
    params: expedienteParams,
    body: meansSchema,
    status: 202,
    answer: paymentSchema,
    run: async (tx, { principal, params, body }) =>
      answerRequested(
        await requestFinalPayment(context, tx, {
          principal,
          expedienteId: params.expedienteId,
          means: body,
          secondLookCents,
        }),
      ),
  });

  addCommand(routing, {
    url: "/api/payments/:paymentId/second-look",
    tag,
    summary: "Look at a payment that a colleague recorded",
    refuses: ["conflict", "forbidden", "ruleRefused"],
    description:
      "An `unchecked` payment counts once another member of staff has found the money (`passed`), or ends unmade (`failed`), which is no refusal.",
    params: paymentParams,
    body: z.strictObject({
      outcome: z
        .enum(["passed", "failed"])
        .meta({ description: "Whether the money is there", example: "passed" }),
    }),
    status: 200,
    answer: paymentSchema,
    run: async (tx, { principal, params, body }) =>
      answerRequested(
        await takeSecondLook(context, tx, { principal, paymentId: params.paymentId, outcome: body.outcome }),
      ),
  });

  addQuery(routing, {
    url: "/api/activations/:activationId/payment",
    tag,
    summary: "Read the payment of an activation",
    refuses: ["notFound"],
    description: "With the bank's page, where the customer must confirm it.",
    params: z.object({ activationId: z.uuid() }),
    answer: paymentSchema,
    async run(db, { params }) {
      const payment = await findPaymentOf(db, params.activationId);
      if (payment === undefined) return refuse("notFound", "no payment was asked for yet");
      return { kind: "done", answer: describePayment(payment) };
    },
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
    body: z.strictObject({ amountCents: z.int().positive(), reason: lineOfText(200).min(3) }),
    status: 202,
    answer: z.object({ id: z.uuid(), payment: paymentSchema }),
    async run(tx, { principal, params, body }) {
      const requested = await requestRefund(context, tx, params.paymentId, {
        ...body,
        requestedBy: principal.userId,
      });
      if (requested.kind === "refused") return requested;
      const { refundId: id, payment } = requested;
      return { kind: "done", answer: { id, payment: describePayment(payment) } };
    },
  });

  addWebhook(routing, {
    url: "/webhooks/payments",
    summary: "Hear from the payment gateway",
    verify: verifyWebhook,
    schema: gatewayEventSchema,
    sender,
    areNews: (events) => areGatewayNews(context, events),
    // A gateway's message is a doorbell that can wait, and most come in bursts. The answer to our own call is recorded
    // meanwhile, and then most of them are no news.
    lingerMs: 50,
  });
}

type PaymentAnswer = z.input<typeof paymentSchema>;

function answerRequested(requested: Requested | Refusal): { kind: "done"; answer: PaymentAnswer } | Refusal {
  if (requested.kind === "refused") return requested;
  return { kind: "done", answer: describePayment(requested.payment) };
}

function describePayment(row: Payment): PaymentAnswer {
  return {
    id: row.id,
    kind: row.kind,
    expedienteId: row.expediente_id,
    activationId: row.activation_id,
    amountCents: row.amount_cents,
    currency: row.currency,
    method: row.method,
    status: row.status,
    declineReason: row.decline_reason,
    decline: describeDecline(row),
    confirmation:
      row.status === "unconfirmed" && row.confirm_url !== null
        ? { url: row.confirm_url, confirmBy: row.confirm_by?.toISOString() ?? null }
        : null,
    payer: row.payer,
    captureBefore: row.capture_before?.toISOString() ?? null,
    capturedCents: row.captured_cents,
    refundedCents: row.refunded_cents,
    createdAt: row.created_at.toISOString(),
    settledAt: row.settled_at?.toISOString() ?? null,
  };
}

function describeDecline({ decline_reason: reason }: Payment): PaymentAnswer["decline"] {
  if (reason === null) return null;
  const { class: kind, advice } = readDecline(reason);
  return { reason, isRefusal: kind === "refusal", advice };
}
