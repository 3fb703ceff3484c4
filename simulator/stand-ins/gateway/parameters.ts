import * as z from "zod";
import { cancellationReasons, captureMethods } from "./objects.ts";

// What each call takes. Everything arrives as text; a parameter that is not listed is refused.

const text = z.string().max(5000);
const wholeNumber = z
  .string()
  .regex(/^\d{1,12}$/, "must be a whole number")
  .transform(Number);
/** Stripe's limit: 99999999 minor units and at least one. */
const amount = wholeNumber.refine(
  (value) => value >= 1 && value <= 99_999_999,
  "must be between 1 and 99999999",
);
const flag = z.enum(["true", "false"]).transform((value) => value === "true");
// An empty text unsets a field in Stripe's forms.
const optionalText = text.transform((value) => (value === "" ? null : value)).optional();
const metadata = z
  .union([z.literal("").transform(() => ({})), z.record(z.string().max(40), z.string().max(500))])
  .optional();
const expand = z.array(z.string().max(100)).max(20).optional();
const page = {
  limit: wholeNumber.refine((value) => value >= 1 && value <= 100, "must be between 1 and 100").optional(),
  starting_after: text.optional(),
  ending_before: text.optional(),
  expand,
};

export const createCustomer = z.strictObject({
  address: z.record(z.string(), z.string()).optional(),
  description: optionalText,
  email: optionalText,
  expand,
  metadata,
  name: optionalText,
  phone: optionalText,
});

export const createIntent = z.strictObject({
  allowed_payment_method_types: z.array(text).optional(),
  amount,
  automatic_payment_methods: z
    .strictObject({ enabled: flag, allow_redirects: z.enum(["always", "never"]).optional() })
    .optional(),
  capture_method: z.enum(captureMethods).optional(),
  confirm: flag.optional(),
  confirmation_method: z.literal("automatic").optional(),
  currency: z
    .string()
    .regex(/^[a-zA-Z]{3}$/, "must be a three-letter ISO code")
    .transform((code) => code.toLowerCase()),
  customer: text.optional(),
  description: optionalText,
  error_on_requires_action: flag.optional(),
  expand,
  metadata,
  off_session: flag.optional(),
  payment_method: text.optional(),
  payment_method_types: z.array(text).optional(),
  receipt_email: optionalText,
  return_url: text.optional(),
  setup_future_usage: z.enum(["off_session", "on_session"]).optional(),
  statement_descriptor: text.optional(),
  statement_descriptor_suffix: text.optional(),
});
export type CreateIntent = z.output<typeof createIntent>;

export const confirmIntent = z.strictObject({
  capture_method: z.enum(captureMethods).optional(),
  error_on_requires_action: flag.optional(),
  expand,
  off_session: flag.optional(),
  payment_method: text.optional(),
  return_url: text.optional(),
});
export type ConfirmIntent = z.output<typeof confirmIntent>;

export const captureIntent = z.strictObject({
  amount_to_capture: amount.optional(),
  expand,
  metadata,
  statement_descriptor: text.optional(),
  statement_descriptor_suffix: text.optional(),
});

export const cancelIntent = z.strictObject({
  cancellation_reason: z.enum(cancellationReasons).optional(),
  expand,
});

export const retrieve = z.strictObject({ client_secret: text.optional(), expand });
export const listIntents = z.strictObject({ customer: text.optional(), ...page });
export const searchIntents = z.strictObject({
  query: text.min(1),
  limit: page.limit,
  page: text.optional(),
  expand,
});

export const createRefund = z.strictObject({
  amount: amount.optional(),
  charge: text.optional(),
  expand,
  metadata,
  payment_intent: text.optional(),
  reason: z.enum(["duplicate", "fraudulent", "requested_by_customer"]).optional(),
});
export type CreateRefund = z.output<typeof createRefund>;

/** Of refunds and of disputes. */
export const listOfCharge = z.strictObject({
  charge: text.optional(),
  payment_intent: text.optional(),
  ...page,
});
