import * as z from "zod";
import { jobType, perPurchase } from "../../store/jobs.ts";

const ofPayment = z.object({ paymentId: z.uuid() });
const atGateway = z.object({ paymentId: z.uuid(), gatewayPaymentId: z.string() });
const ofActivation = z.object({ activationId: z.uuid() });

export const openGatewayCustomerJob = jobType("openGatewayCustomer", z.object({ customerId: z.uuid() }));
export const askConfirmationJob = jobType("askConfirmation", ofPayment);
export const followConfirmationJob = jobType("followConfirmation", ofPayment);
export const chargePaymentJob = jobType("chargePayment", ofPayment, perPurchase);
export const reconcilePaymentJob = jobType("reconcilePayment", ofPayment, perPurchase);
export const lookUpPresumedJob = jobType("lookUpPresumed", ofPayment);
export const captureHoldJob = jobType("captureHold", ofActivation, perPurchase);
export const releaseHoldJob = jobType("releaseHold", ofActivation);
export const releaseStrayJob = jobType("releaseStray", atGateway);
export const reconcileChargeBacksJob = jobType("reconcileChargeBacks", ofPayment);
export const refundJob = jobType("refund", z.object({ refundId: z.uuid() }));
export const reconcileRefundsJob = jobType("reconcileRefunds", ofPayment);
