import * as z from "zod";

// The objects of Stripe's API that the platform uses, in the shape the official SDK expects.
// Amounts are in the currency's minor unit; times are unix seconds. https://docs.stripe.com/api

const metadata = z.record(z.string(), z.string());

export const customerSchema = z.object({
  id: z.string(),
  object: z.literal("customer"),
  address: z.record(z.string(), z.string()).nullable(),
  balance: z.int(),
  created: z.int(),
  currency: z.string().nullable(),
  description: z.string().nullable(),
  email: z.string().nullable(),
  livemode: z.literal(false),
  metadata,
  name: z.string().nullable(),
  phone: z.string().nullable(),
});
export type Customer = z.infer<typeof customerSchema>;

export const chargeSchema = z.object({
  id: z.string(),
  object: z.literal("charge"),
  amount: z.int(),
  amount_captured: z.int(),
  amount_refunded: z.int(),
  captured: z.boolean(),
  created: z.int(),
  currency: z.string(),
  customer: z.string().nullable(),
  description: z.string().nullable(),
  /** A bank took it back, even if the dispute was won later. Books from before disputes existed have none. */
  disputed: z.boolean().default(false),
  failure_code: z.string().nullable(),
  failure_message: z.string().nullable(),
  livemode: z.literal(false),
  metadata,
  outcome: z.object({ network_status: z.string(), reason: z.string().nullable(), type: z.string() }),
  paid: z.boolean(),
  payment_intent: z.string(),
  payment_method: z.string(),
  payment_method_details: z.object({
    type: z.literal("card"),
    card: z.object({
      brand: z.string(),
      last4: z.string(),
      exp_month: z.int(),
      exp_year: z.int(),
      /** Until when a hold can be captured; absent once captured at once. */
      capture_before: z.int().optional(),
    }),
  }),
  refunded: z.boolean(),
  status: z.enum(["succeeded", "failed"]),
});
export type Charge = z.infer<typeof chargeSchema>;

export const paymentErrorSchema = z.object({
  type: z.literal("card_error"),
  code: z.string(),
  /** Absent for what is no decline of the bank. */
  decline_code: z.string().optional(),
  message: z.string(),
  charge: z.string().optional(),
  payment_method: z.object({
    id: z.string(),
    object: z.literal("payment_method"),
    type: z.literal("card"),
    card: z.object({ brand: z.string(), last4: z.string(), exp_month: z.int(), exp_year: z.int() }),
  }),
});
export type PaymentError = z.infer<typeof paymentErrorSchema>;

export const captureMethods = ["automatic", "automatic_async", "manual"] as const;
export const cancellationReasons = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"] as const;
export const intentStatuses = [
  "requires_payment_method",
  "requires_confirmation",
  "requires_action",
  "requires_capture",
  "canceled",
  "succeeded",
] as const;
export type IntentStatus = (typeof intentStatuses)[number];

export const intentSchema = z.object({
  id: z.string(),
  object: z.literal("payment_intent"),
  amount: z.int(),
  amount_capturable: z.int(),
  amount_received: z.int(),
  canceled_at: z.int().nullable(),
  /** `automatic`: the hold ran out. */
  cancellation_reason: z.enum([...cancellationReasons, "automatic"]).nullable(),
  capture_method: z.enum(captureMethods),
  client_secret: z.string(),
  confirmation_method: z.literal("automatic"),
  created: z.int(),
  currency: z.string(),
  customer: z.string().nullable(),
  description: z.string().nullable(),
  last_payment_error: paymentErrorSchema.nullable(),
  latest_charge: z.string().nullable(),
  livemode: z.literal(false),
  metadata,
  next_action: z
    .object({
      type: z.literal("redirect_to_url"),
      redirect_to_url: z.object({ url: z.string(), return_url: z.string().nullable() }),
    })
    .nullable(),
  payment_method: z.string().nullable(),
  payment_method_types: z.array(z.string()),
  receipt_email: z.string().nullable(),
  setup_future_usage: z.string().nullable(),
  statement_descriptor: z.string().nullable(),
  statement_descriptor_suffix: z.string().nullable(),
  status: z.enum(intentStatuses),
});
export type Intent = z.infer<typeof intentSchema>;

export const refundSchema = z.object({
  id: z.string(),
  object: z.literal("refund"),
  amount: z.int(),
  charge: z.string(),
  created: z.int(),
  currency: z.string(),
  metadata,
  payment_intent: z.string(),
  reason: z.string().nullable(),
  /** `failed`: made, and sent back by the customer's bank. */
  status: z.enum(["succeeded", "failed"]),
  failure_reason: z.string().optional(),
});
export type Refund = z.infer<typeof refundSchema>;

/** Why a cardholder's bank takes a charge back. https://docs.stripe.com/disputes/categories */
export const disputeReasons = [
  "fraudulent",
  "product_not_received",
  "product_unacceptable",
  "unrecognized",
  "duplicate",
  "credit_not_processed",
  "general",
] as const;

export const disputeSchema = z.object({
  id: z.string(),
  object: z.literal("dispute"),
  amount: z.int(),
  charge: z.string(),
  created: z.int(),
  currency: z.string(),
  is_charge_refundable: z.boolean(),
  livemode: z.literal(false),
  metadata,
  payment_intent: z.string(),
  reason: z.enum(disputeReasons),
  status: z.enum(["needs_response", "won", "lost"]),
});
export type Dispute = z.infer<typeof disputeSchema>;
