import type { Capability } from "../../http/capability.ts";
import { type CountWebhooks, createSender, judgeMessages } from "../../http/webhook-messages.ts";
import type { VerifyWebhook } from "../../http/webhook-signatures.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { EventHandler } from "../../lifecycle/events.ts";
import type { PaymentGateway } from "../../partners/payment-gateway.ts";
import type { FinalPaymentTerms } from "../../rules/final-payment-policy.ts";
import type { PresumptionLimits } from "../../rules/presumption-policy.ts";
import { enqueue, handleJob, perPurchase } from "../../store/jobs.ts";
import { createPaymentBatches } from "./batches.ts";
import { chargePayment, reconcilePayment } from "./charge-payment.ts";
import {
  askConfirmation,
  confirmationTimer,
  followConfirmation,
  followConfirmations,
} from "./confirmation.ts";
import { openGatewayCustomer } from "./gateway-customer.ts";
import { gatewayEventSchema, handleGatewayEvents, readGatewayEvent } from "./gateway-webhook.ts";
import {
  askConfirmationJob,
  captureHoldJob,
  chargePaymentJob,
  followConfirmationJob,
  lookUpPresumedJob,
  openGatewayCustomerJob,
  reconcileChargeBacksJob,
  reconcilePaymentJob,
  reconcileRefundsJob,
  refundJob,
  releaseHoldJob,
  releaseStrayJob,
} from "./jobs.ts";
import { reconcileChargeBacks } from "./money-back/charge-backs.ts";
import { lookUpRefund, reconcileRefunds } from "./money-back/reconcile-refunds.ts";
import { refundAtGateway, refundLookUpTimer } from "./money-back/refunds.ts";
import { openPayments } from "./open-payments.ts";
import { paymentRoutes } from "./routes.ts";
import { earnDeposits } from "./sale/forfeiture.ts";
import { finalPaymentTimer, giveFinalPaymentNotice, keepFinalPaymentTerms } from "./sale/terms.ts";
import { captureHold, releaseHold, releaseStray } from "./service/holds.ts";
import { lookUpPresumed, type Silence } from "./service/look-up.ts";
import { lookUpTimer } from "./service/presumptions.ts";

export type Payments = Capability & {
  /** A customer's cards are kept from the first payment on. */
  onSaleRegistered: EventHandler<"saleRegistered">;
  onVehicleMoved: EventHandler<"vehicleMoved">;
  onServicePaymentRequested: EventHandler<"servicePaymentRequested">;
  onServiceCaptureRequested: EventHandler<"serviceCaptureRequested">;
  onServiceVoidRequested: EventHandler<"serviceVoidRequested">;
};

/**
 * Every payment, the gateway behind it, and the double-entry ledger under it. `verifyWebhook` judges the gateway's
 * signatures; `presumption` bounds what is delivered while the gateway does not answer; `finalPayment` says when an
 * unpaid car is lost; `confirmation` says until when a customer may confirm at the bank, and where the bank sends them
 * back to; `secondLookCents` is the amount from which on a second person looks at what staff recorded.
 */
export function createPayments(
  context: Context,
  partners: {
    gateway: PaymentGateway;
    verifyWebhook: VerifyWebhook;
    count: CountWebhooks;
    presumption: PresumptionLimits;
    finalPayment: FinalPaymentTerms;
    confirmation: { hours: number; returnUrl: () => string };
    secondLookCents: number;
  },
): Payments {
  const { gateway, presumption, confirmation } = partners;
  const sender = createSender({
    source: "paymentGateway",
    name: "hearGateway",
    event: gatewayEventSchema,
    read: readGatewayEvent,
    count: partners.count,
    atOnce: perPurchase,
  });
  const silence: Silence = { untilMs: 0 };
  const work = {
    context,
    batches: createPaymentBatches(context),
    gateway,
    returnUrl: confirmation.returnUrl,
  };
  return {
    addRoutes: (routing) => paymentRoutes(context, { ...partners, sender }, routing),
    jobs: [
      handleJob(chargePaymentJob, ({ paymentId }, attempt) =>
        chargePayment(work, presumption, paymentId, attempt),
      ),
      handleJob(reconcilePaymentJob, (asked) => reconcilePayment(work, asked)),
      handleJob(openGatewayCustomerJob, ({ customerId }) => openGatewayCustomer(work, customerId)),
      handleJob(askConfirmationJob, ({ paymentId }) => askConfirmation(work, confirmation.hours, paymentId)),
      handleJob(followConfirmationJob, ({ paymentId }) => followConfirmation(work, paymentId)),
      handleJob(lookUpPresumedJob, ({ paymentId }) => lookUpPresumed(work, silence, paymentId)),
      handleJob(captureHoldJob, ({ activationId }, attempt) => captureHold(work, activationId, attempt)),
      handleJob(releaseHoldJob, ({ activationId }) => releaseHold(work, activationId)),
      handleJob(releaseStrayJob, (stray) => releaseStray(work, stray)),
      handleJob(reconcileChargeBacksJob, ({ paymentId }) => reconcileChargeBacks(work, paymentId)),
      handleJob(refundJob, ({ refundId }, attempt) => refundAtGateway(work, refundId, attempt)),
      handleJob(reconcileRefundsJob, ({ paymentId }) => reconcileRefunds(work, paymentId)),
      judgeMessages(context, sender, { runMany: (heard) => handleGatewayEvents(context, heard) }),
    ],
    timers: [
      {
        kind: lookUpTimer,
        due: (tx, paymentId) =>
          enqueue(tx, lookUpPresumedJob, [{ payload: { paymentId }, key: `lookUpPresumed:${paymentId}` }]),
      },
      { kind: confirmationTimer, due: followConfirmations },
      { kind: refundLookUpTimer, due: (tx, refundId) => lookUpRefund(context, tx, refundId) },
      {
        kind: finalPaymentTimer,
        due: (tx, expedienteId) => giveFinalPaymentNotice(context, tx, expedienteId),
      },
    ],
    async onSaleRegistered(tx, sales) {
      const buyers = await tx
        .selectFrom("expedientes")
        .where(
          "id",
          "in",
          sales.map(({ expedienteId }) => expedienteId),
        )
        .select("customer_id as customerId")
        .execute();
      await enqueue(
        tx,
        openGatewayCustomerJob,
        buyers.map((payload) => ({ payload, key: `openGatewayCustomer:${payload.customerId}` })),
      );
    },
    async onVehicleMoved(tx, moves) {
      for (const moved of moves) await keepFinalPaymentTerms(context, tx, partners.finalPayment, moved);
      const delivered = moves.filter(({ to }) => to === "Delivered").map(({ vehicleId }) => vehicleId);
      await earnDeposits(context, tx, delivered);
    },
    async onServicePaymentRequested(tx, asked) {
      const payments = asked.map(({ activationId, customerId, amountCents, currency, paymentMethod }) => ({
        kind: "service" as const,
        expediente_id: null,
        activation_id: activationId,
        customer_id: customerId,
        amount_cents: amountCents,
        currency,
        method: "card" as const,
        payment_method: paymentMethod,
        recorded_by: null,
        payer: null,
      }));
      await openPayments(context, tx, "requested", payments);
    },
    onServiceCaptureRequested: (tx, asked) => enqueue(tx, captureHoldJob, asked.map(ofActivation)),
    onServiceVoidRequested: (tx, asked) => enqueue(tx, releaseHoldJob, asked.map(ofActivation)),
  };
}

function ofActivation({ activationId }: { activationId: string }) {
  return { payload: { activationId } };
}
