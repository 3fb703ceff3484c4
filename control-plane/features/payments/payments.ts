import type { Capability } from "../../http/capability.ts";
import type { VerifyWebhook } from "../../http/webhook-signatures.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { EventHandler } from "../../lifecycle/events.ts";
import type { PaymentGateway } from "../../partners/payment-gateway.ts";
import type { FinalPaymentTerms } from "../../rules/final-payment-policy.ts";
import type { PresumptionLimits } from "../../rules/presumption-policy.ts";
import { enqueue, handleJob } from "../../store/jobs.ts";
import { createPaymentBatches } from "./batches.ts";
import { chargePayment, reconcilePayment } from "./charge-payment.ts";
import { openPayments } from "./hear.ts";
import {
  captureHoldJob,
  chargePaymentJob,
  lookUpPresumedJob,
  reconcileChargeBacksJob,
  reconcilePaymentJob,
  reconcileRefundsJob,
  refundJob,
  releaseHoldJob,
  releaseStrayJob,
} from "./jobs.ts";
import { reconcileChargeBacks } from "./money-back/charge-backs.ts";
import { reconcileRefunds, refundAtGateway } from "./money-back/refunds.ts";
import { paymentRoutes } from "./routes.ts";
import { earnDeposits } from "./sale/forfeiture.ts";
import { finalPaymentTimer, giveFinalPaymentNotice, keepFinalPaymentTerms } from "./sale/terms.ts";
import { captureHold, releaseHold, releaseStray } from "./service/holds.ts";
import { lookUpPresumed, type Silence } from "./service/look-up.ts";
import { lookUpTimer } from "./service/presumptions.ts";

export type Payments = Capability & {
  onVehicleMoved: EventHandler<"vehicleMoved">;
  onServicePaymentRequested: EventHandler<"servicePaymentRequested">;
  onServiceCaptureRequested: EventHandler<"serviceCaptureRequested">;
  onServiceVoidRequested: EventHandler<"serviceVoidRequested">;
};

/**
 * Every payment, the gateway behind it, and the double-entry ledger under it. `verifyWebhook` judges the gateway's
 * signatures; `presumption` bounds what is delivered while the gateway does not answer; `finalPayment` says when an
 * unpaid car is lost.
 */
export function createPayments(
  context: Context,
  partners: {
    gateway: PaymentGateway;
    verifyWebhook: VerifyWebhook;
    presumption: PresumptionLimits;
    finalPayment: FinalPaymentTerms;
  },
): Payments {
  const { gateway, presumption } = partners;
  const silence: Silence = { untilMs: 0 };
  const batches = createPaymentBatches(context);
  return {
    addRoutes: (routing) => paymentRoutes(context, partners.verifyWebhook, routing),
    jobs: [
      handleJob(chargePaymentJob, ({ paymentId }, attempt) =>
        chargePayment(context, batches, gateway, presumption, paymentId, attempt),
      ),
      handleJob(reconcilePaymentJob, (asked) => reconcilePayment(batches, gateway, asked)),
      handleJob(lookUpPresumedJob, ({ paymentId }) =>
        lookUpPresumed(context, batches, gateway, silence, paymentId),
      ),
      handleJob(reconcileChargeBacksJob, ({ paymentId }) =>
        reconcileChargeBacks(context, batches, gateway, paymentId),
      ),
      handleJob(refundJob, ({ refundId }, attempt) => refundAtGateway(context, gateway, refundId, attempt)),
      handleJob(reconcileRefundsJob, ({ paymentId, gatewayPaymentId }) =>
        reconcileRefunds(context, gateway, paymentId, gatewayPaymentId),
      ),
      handleJob(releaseStrayJob, (stray) => releaseStray(batches, gateway, context.logger, stray)),
      handleJob(captureHoldJob, ({ activationId }) => captureHold(batches, gateway, activationId)),
      handleJob(releaseHoldJob, ({ activationId }) => releaseHold(batches, gateway, activationId)),
    ],
    timers: [
      {
        kind: lookUpTimer,
        due: (tx, paymentId) =>
          enqueue(tx, lookUpPresumedJob, [{ payload: { paymentId }, key: `lookUpPresumed:${paymentId}` }]),
      },
      {
        kind: finalPaymentTimer,
        due: (tx, expedienteId) => giveFinalPaymentNotice(context, tx, expedienteId),
      },
    ],
    async onVehicleMoved(tx, moves) {
      for (const moved of moves) await keepFinalPaymentTerms(context, tx, partners.finalPayment, moved);
      const delivered = moves.filter(({ to }) => to === "Delivered");
      await earnDeposits(
        context,
        tx,
        delivered.map(({ vehicleId }) => vehicleId),
      );
    },
    async onServicePaymentRequested(tx, asked) {
      await openPayments(
        context,
        tx,
        "requested",
        asked.map((payment) => ({
          kind: "service",
          expediente_id: null,
          activation_id: payment.activationId,
          customer_id: payment.customerId,
          amount_cents: payment.amountCents,
          currency: payment.currency,
          method: "card",
          payment_method: payment.paymentMethod,
          recorded_by: null,
        })),
      );
    },
    onServiceCaptureRequested: (tx, asked) =>
      enqueue(
        tx,
        captureHoldJob,
        asked.map(({ activationId }) => ({ payload: { activationId } })),
      ),
    onServiceVoidRequested: (tx, asked) =>
      enqueue(
        tx,
        releaseHoldJob,
        asked.map(({ activationId }) => ({ payload: { activationId } })),
      ),
  };
}
