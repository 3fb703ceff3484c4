import type { Capability } from "../../http/capability.ts";
import type { VerifyWebhook } from "../../http/webhook-signatures.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import type { PaymentGateway } from "../../partners/payment-gateway.ts";
import type { FinalPaymentTerms } from "../../rules/final-payment-policy.ts";
import type { PresumptionLimits } from "../../rules/presumption-policy.ts";
import { enqueue, handleJob } from "../../store/jobs.ts";
import { reconcileChargeBacks } from "./charge-back.ts";
import { chargePayment, reconcilePayment } from "./charge-payment.ts";
import { finalPaymentTimer, giveFinalPaymentNotice, keepFinalPaymentTerms } from "./final-payment-terms.ts";
import { lookUpPresumed, type Silence } from "./look-up-presumed.ts";
import { createPaymentDesk } from "./payment-desk.ts";
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
} from "./payment-row.ts";
import { lookUpTimer } from "./presume-payment.ts";
import { openServicePayments } from "./record-many.ts";
import { reconcileRefunds, refundAtGateway } from "./refund-payment.ts";
import { paymentRoutes } from "./routes.ts";
import { recordDelivered } from "./sale-payments.ts";
import { captureHold, releaseHold, releaseStray } from "./settle-hold.ts";

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
  const desk = createPaymentDesk(context);
  return {
    addRoutes: (routing) => paymentRoutes(context, partners.verifyWebhook, routing),
    jobs: [
      handleJob(chargePaymentJob, ({ paymentId }, attempt) =>
        chargePayment(context, desk, gateway, presumption, paymentId, attempt),
      ),
      handleJob(reconcilePaymentJob, (asked) => reconcilePayment(desk, gateway, asked)),
      handleJob(lookUpPresumedJob, ({ paymentId }) => lookUpPresumed(context, gateway, silence, paymentId)),
      handleJob(reconcileChargeBacksJob, ({ paymentId }) =>
        reconcileChargeBacks(context, gateway, paymentId),
      ),
      handleJob(refundJob, ({ refundId }, attempt) => refundAtGateway(context, gateway, refundId, attempt)),
      handleJob(reconcileRefundsJob, ({ paymentId, gatewayPaymentId }) =>
        reconcileRefunds(context, gateway, paymentId, gatewayPaymentId),
      ),
      handleJob(releaseStrayJob, (stray) => releaseStray(context, gateway, stray)),
      handleJob(captureHoldJob, ({ activationId }) => captureHold(desk, gateway, activationId)),
      handleJob(releaseHoldJob, ({ activationId }) => releaseHold(context, gateway, activationId)),
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
    onVehicleMoved: each(async (tx, moved) => {
      await keepFinalPaymentTerms(context, tx, partners.finalPayment, moved);
      if (moved.to === "Delivered") await recordDelivered(context, tx, moved.vehicleId);
    }),
    onServicePaymentRequested: (tx, asked) => openServicePayments(context, tx, asked),
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
