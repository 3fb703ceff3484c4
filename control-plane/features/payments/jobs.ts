import * as z from "zod";
import { jobType, quickJobType } from "../../store/jobs.ts";

const ofPayment = z.object({ paymentId: z.uuid() });
const atGateway = z.object({ paymentId: z.uuid(), gatewayPaymentId: z.string() });
const ofActivation = z.object({ activationId: z.uuid() });

export const chargePaymentJob = quickJobType("chargePayment", ofPayment);
export const reconcilePaymentJob = quickJobType("reconcilePayment", atGateway);
export const lookUpPresumedJob = jobType("lookUpPresumed", ofPayment);
export const captureHoldJob = quickJobType("captureHold", ofActivation);
export const releaseHoldJob = jobType("releaseHold", ofActivation);
export const releaseStrayJob = jobType("releaseStray", atGateway);
export const reconcileChargeBacksJob = jobType("reconcileChargeBacks", ofPayment);
export const refundJob = jobType("refund", z.object({ refundId: z.uuid() }));
export const reconcileRefundsJob = jobType("reconcileRefunds", atGateway);
