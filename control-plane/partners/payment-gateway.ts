import Stripe from "stripe";
import type { Decline } from "../rules/decline-table.ts";
import type { GatewayRecord } from "../rules/payment-machine.ts";
import { PartnerUnavailable } from "./partner-error.ts";
import { boundedStripeClient } from "./stripe-client.ts";

export type NewGatewayPayment = {
  /** Our payment's id: the gateway's idempotency key, and `metadata.reference` for a look-up later than a day. */
  reference: string;
  amountCents: number;
  /** ISO 4217, as `EUR`. */
  currency: string;
  /** The gateway's token of a card; no card number ever reaches us. */
  paymentMethod: string;
  /** `hold` only reserves the amount; `charge` takes it at once. */
  mode: "charge" | "hold";
  /** The gateway's id of its own customer, who keeps the card for later payments; `null`: it is used this once. */
  customer: string | null;
  /** Where the customer's bank sends the customer back to after a confirmation. */
  returnUrl: string;
  description: string;
  /** Ids of ours that help a person in the gateway's own screens; no personal data. */
  metadata: Readonly<Record<string, string>>;
};

/**
 * How a payment stands at the gateway. A "no" of the bank is a value. `record`: whose payment the gateway means; absent
 * where its answer names none.
 */
export type GatewayPayment = { record?: GatewayRecord } & GatewayStanding;

type GatewayStanding =
  /** `capturedCents`: what was taken, which may be another amount than the one asked for. */
  | { status: "captured"; gatewayPaymentId: string; capturedCents: number }
  /** `captureBefore`: when the hold lapses, in business time. */
  | { status: "held"; gatewayPaymentId: string; captureBefore: Date }
  /** The bank refused. */
  | { status: "declined"; gatewayPaymentId: string | null; reason: string }
  /** The bank waits until the customer has confirmed at `confirmUrl`. */
  | { status: "unconfirmed"; gatewayPaymentId: string; confirmUrl: string }
  /** Not made, and nobody has said no: it may be tried again. `null`: the gateway has no such payment yet. */
  | { status: "failedForNow"; gatewayPaymentId: string | null; reason: string }
  /** Let go, by us or by time: nothing was taken. */
  | { status: "released"; gatewayPaymentId: string }
  /** Not made, and not with this card or this amount; the bank has refused nothing. */
  | { status: "invalid"; gatewayPaymentId?: string; reason: string };

/**
 * Money that the gateway gave back; `reference` is ours where we asked for it. `failed`: the customer's bank did not
 * take it, be it days later, and the money is ours again.
 */
export type GatewayRefund = {
  gatewayRefundId: string;
  reference: string | null;
  amountCents: number;
  status: "made" | "failed";
  /** The gateway's, where it failed. */
  failureReason: string | null;
};

export type RefundAnswer =
  | { status: "refunded"; gatewayRefundId: string }
  /** There is nothing left to give back, or a bank has taken it already. */
  | { status: "refused"; reason: string };

/** A cardholder's bank takes a payment back. `inquiry`: it only asks, no money has moved. */
export type GatewayDispute = {
  gatewayDisputeId: string;
  amountCents: number;
  reason: string;
  status: "inquiry" | "open" | "won" | "lost";
};

export type ReadDecline = (code: string, of: "bank" | "request") => Decline;

/** Every call throws PartnerUnavailable when the outcome is not known; the same call may then be repeated. */
export type PaymentGateway = {
  /** Idempotent by `reference` for a day. */
  pay(payment: NewGatewayPayment): Promise<GatewayPayment>;
  /** Tries a payment that failed for now once more, with the customer there to confirm it. It is made at most once. */
  payAgain(again: {
    gatewayPaymentId: string;
    paymentMethod: string;
    returnUrl: string;
  }): Promise<GatewayPayment>;
  /** The gateway's own customer, who keeps cards; idempotent by our customer's id for a day. */
  openCustomer(customerId: string): Promise<{ gatewayCustomerId: string }>;
  /**
   * `null`: the gateway knows no payment with our reference. Works at any age, but may lag by a minute. Of several the
   * one of our amount comes first: any other is not the one we asked for.
   */
  findByReference(reference: string, amountCents: number): Promise<GatewayPayment | null>;
  /**
   * The payment whose metadata hold all of `metadata`, of whatever reference: the last look before one is called
   * nonexistent. `null`: there is none.
   */
  findAmongPayments(metadata: Readonly<Record<string, string>>): Promise<GatewayPayment | null>;
  retrieve(gatewayPaymentId: string): Promise<GatewayPayment>;
  /**
   * Takes the held amount, once whatever the number of tries. A hold that is gone is answered with how the payment
   * stands.
   */
  capture(gatewayPaymentId: string, reference: string, attempt: number): Promise<GatewayPayment>;
  /** Lets the hold go. A payment already taken is answered as captured. */
  release(gatewayPaymentId: string, reference: string): Promise<GatewayPayment>;
  /** Gives money back; idempotent by `reference` for a day. */
  refund(refund: { reference: string; gatewayPaymentId: string; amountCents: number }): Promise<RefundAnswer>;
  listRefunds(gatewayPaymentId: string): Promise<GatewayRefund[]>;
  /** Every dispute of a payment, as it is now. */
  listDisputes(gatewayPaymentId: string): Promise<GatewayDispute[]>;
};

// Longer than any card authorisation usually takes, shorter than a person's patience with a job that retries.
const defaultTimeoutMs = 10_000;

/** A page of a hundred payments with their charges is below 1 MiB. */
const maxAnswerBytes = 4 * 1024 * 1024;

const expand = ["latest_charge"];

/**
 * @param options.baseUrl as `https://api.stripe.com`, or a server that speaks the same interface
 * @param options.readDecline the rules' table of declines
 */
export function createPaymentGateway(options: {
  baseUrl: string;
  apiKey: string;
  timeoutMs?: number;
  readDecline: ReadDecline;
}): PaymentGateway {
  const { readDecline } = options;
  const url = new URL(options.baseUrl);
  const isPlain = url.protocol === "http:";
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const stripe = new Stripe(options.apiKey, {
    host: url.hostname,
    port: url.port === "" ? (isPlain ? 80 : 443) : Number(url.port),
    protocol: isPlain ? "http" : "https",
    timeout: timeoutMs,
    httpClient: boundedStripeClient({ timeoutMs, maxBytes: maxAnswerBytes }),
    // Retrying is the job's business: it keeps the key and waits longer each time.
    maxNetworkRetries: 0,
    telemetry: false,
  });

  /** How an intent stands after `call`, which may be refused because it already stands that way. */
  async function settle(call: () => Promise<Stripe.PaymentIntent>): Promise<GatewayPayment> {
    try {
      return describe(await call(), readDecline);
    } catch (error) {
      if (error instanceof Stripe.errors.StripeCardError) {
        const intent = error.payment_intent;
        const standing = describeDecline(intent?.id ?? null, error, readDecline);
        return intent === undefined ? standing : { ...standing, record: recordOf(intent) };
      }
      if (
        error instanceof Stripe.errors.StripeInvalidRequestError &&
        error.code === "payment_intent_unexpected_state" &&
        error.payment_intent !== undefined
      )
        return retrieve(error.payment_intent.id);
      throw asTransient(error);
    }
  }

  /** The same for a request for money: what the gateway does not take is no payment, and can be paid otherwise. */
  async function ask(
    gatewayPaymentId: string | null,
    call: () => Promise<Stripe.PaymentIntent>,
  ): Promise<GatewayPayment> {
    try {
      return await settle(call);
    } catch (error) {
      const reason = nameRequestError(error);
      if (reason === null) throw error;
      return readDecline(reason, "request").class === "tryAgain"
        ? { status: "failedForNow", gatewayPaymentId, reason }
        : { status: "invalid", reason };
    }
  }

  function retrieve(gatewayPaymentId: string): Promise<GatewayPayment> {
    return settle(() => stripe.paymentIntents.retrieve(gatewayPaymentId, { expand }));
  }

  async function search(
    metadata: Readonly<Record<string, string>>,
    amountCents?: number,
  ): Promise<GatewayPayment | null> {
    const query = Object.entries(metadata)
      .map(([key, value]) => `metadata['${key}']:'${value}'`)
      .join(" AND ");
    const found = await certain(
      stripe.paymentIntents.search({ query, limit: 10, expand: ["data.latest_charge"] }),
    );
    // More than one would be a key that outlived its day; the one that holds money is the one that counts.
    const isOurs = ({ amount }: Stripe.PaymentIntent) => amount === amountCents;
    const sorted = [...found.data.filter(isOurs), ...found.data.filter((one) => !isOurs(one))];
    const payments = sorted.map((intent) => describe(intent, readDecline));
    return payments.find(({ status }) => status === "captured" || status === "held") ?? payments[0] ?? null;
  }

  return {
    pay: (payment) =>
      ask(null, () =>
        stripe.paymentIntents.create(
          {
            amount: payment.amountCents,
            currency: payment.currency.toLowerCase(),
            payment_method: payment.paymentMethod,
            allowed_payment_method_types: ["card"],
            capture_method: payment.mode === "hold" ? "manual" : "automatic",
            confirm: true,
            // The customer is there, at the dealership or in the app, and can confirm at the bank.
            return_url: payment.returnUrl,
            // A card that is to be used again must belong to a customer of the gateway's from its first payment on.
            ...(payment.customer === null
              ? {}
              : { customer: payment.customer, setup_future_usage: "off_session" }),
            description: payment.description,
            metadata: { ...payment.metadata, reference: payment.reference },
            expand,
          },
          { idempotencyKey: payment.reference },
        ),
      ),
    // No idempotency key: a payment that is made cannot be confirmed a second time, and a stored "not now" is no answer.
    payAgain: ({ gatewayPaymentId, paymentMethod, returnUrl }) =>
      ask(gatewayPaymentId, () =>
        stripe.paymentIntents.confirm(gatewayPaymentId, {
          payment_method: paymentMethod,
          return_url: returnUrl,
          expand,
        }),
      ),
    async openCustomer(customerId) {
      const { id } = await certain(
        stripe.customers.create(
          { metadata: { customer: customerId } },
          { idempotencyKey: `customer-${customerId}` },
        ),
      );
      return { gatewayCustomerId: id };
    },
    findByReference: (reference, amountCents) => search({ reference }, amountCents),
    findAmongPayments: (metadata) => search(metadata),
    retrieve,
    capture: (gatewayPaymentId, reference, attempt) =>
      settle(() =>
        stripe.paymentIntents.capture(
          gatewayPaymentId,
          { expand },
          // A gateway answers a key as it did before, be it "not now".
          { idempotencyKey: `${reference}-capture${attempt === 1 ? "" : `-${attempt}`}` },
        ),
      ),
    release: (gatewayPaymentId, reference) =>
      settle(() =>
        stripe.paymentIntents.cancel(
          gatewayPaymentId,
          { cancellation_reason: "abandoned", expand },
          { idempotencyKey: `${reference}-release` },
        ),
      ),
    async refund({ reference, gatewayPaymentId, amountCents }) {
      try {
        const refund = await stripe.refunds.create(
          { payment_intent: gatewayPaymentId, amount: amountCents, metadata: { reference } },
          { idempotencyKey: `${reference}-refund` },
        );
        if (hasFailed(refund)) return { status: "refused", reason: refund.failure_reason ?? "failed" };
        return { status: "refunded", gatewayRefundId: refund.id };
      } catch (error) {
        if (error instanceof Stripe.errors.StripeInvalidRequestError)
          return { status: "refused", reason: error.code ?? error.message };
        throw asTransient(error);
      }
    },
    async listRefunds(gatewayPaymentId) {
      const found = await certain(stripe.refunds.list({ payment_intent: gatewayPaymentId, limit: 100 }));
      return found.data.map((refund) => ({
        gatewayRefundId: refund.id,
        reference: refund.metadata?.reference ?? null,
        amountCents: refund.amount,
        status: hasFailed(refund) ? "failed" : "made",
        failureReason: refund.failure_reason ?? null,
      }));
    },
    async listDisputes(gatewayPaymentId) {
      const found = await certain(stripe.disputes.list({ payment_intent: gatewayPaymentId, limit: 100 }));
      return found.data.map(({ id, amount, reason, status }) => ({
        gatewayDisputeId: id,
        amountCents: amount,
        reason,
        status: describeDispute(status),
      }));
    },
  };
}

function describe(intent: Stripe.PaymentIntent, readDecline: ReadDecline): GatewayPayment {
  return { ...stand(intent, readDecline), record: recordOf(intent) };
}

function recordOf({ metadata, amount, currency }: Stripe.PaymentIntent): GatewayRecord {
  return {
    reference: metadata.reference ?? null,
    activationId: metadata.activation ?? null,
    amountCents: amount,
    currency: currency.toUpperCase(),
  };
}

function hasFailed({ status }: Stripe.Refund): boolean {
  return status === "failed" || status === "canceled";
}

function stand(intent: Stripe.PaymentIntent, readDecline: ReadDecline): GatewayStanding {
  const gatewayPaymentId = intent.id;
  switch (intent.status) {
    case "succeeded":
      return { status: "captured", gatewayPaymentId, capturedCents: intent.amount_received };
    case "requires_capture":
      return { status: "held", gatewayPaymentId, captureBefore: readCaptureBefore(intent) };
    case "canceled":
      return { status: "released", gatewayPaymentId };
    case "requires_action": {
      const confirmUrl = intent.next_action?.redirect_to_url?.url ?? null;
      // Another way to confirm than by a page was not asked for, and people are sent to web pages only.
      if (confirmUrl === null || !/^https?:/.test(confirmUrl) || !URL.canParse(confirmUrl))
        throw new PartnerUnavailable(
          "paymentGateway",
          `payment ${gatewayPaymentId} has no page to confirm at`,
        );
      return { status: "unconfirmed", gatewayPaymentId, confirmUrl };
    }
    case "requires_confirmation":
      return { status: "failedForNow", gatewayPaymentId, reason: "notAttempted" };
    case "requires_payment_method":
      return intent.last_payment_error === null
        ? { status: "failedForNow", gatewayPaymentId, reason: "notAttempted" }
        : describeDecline(gatewayPaymentId, intent.last_payment_error, readDecline);
    default:
      throw new PartnerUnavailable("paymentGateway", `payment ${gatewayPaymentId} is ${intent.status}`);
  }
}

function describeDecline(
  gatewayPaymentId: string | null,
  { decline_code: declineCode, code }: { decline_code?: string | undefined; code?: string | undefined },
  readDecline: ReadDecline,
): GatewayStanding {
  // The client makes an empty text of a code that is not there.
  const reason = declineCode || code || "card_declined";
  switch (readDecline(reason, "bank").class) {
    case "refusal":
      return { status: "declined", gatewayPaymentId, reason };
    case "tryAgain":
    case "confirm":
      return { status: "failedForNow", gatewayPaymentId, reason };
    case "notMade":
      return { status: "invalid", reason, ...(gatewayPaymentId === null ? {} : { gatewayPaymentId }) };
  }
}

/** The gateway took our request for no payment; `null`: what it did is not known. */
function nameRequestError(error: unknown): string | null {
  // Wrapped already, so that other calls wait as for any busy partner; here nothing was done.
  const cause = error instanceof PartnerUnavailable ? error.cause : error;
  if (cause instanceof Stripe.errors.StripeRateLimitError) return cause.code ?? "rate_limit";
  if (!(cause instanceof Stripe.errors.StripeInvalidRequestError)) return null;
  // The same request is under way: what becomes of it is not known.
  if (cause.code === "idempotency_key_in_use") return null;
  if (cause.param !== "payment_method") return cause.code ?? "requestRefused";
  if (cause.code === undefined) return "paymentMethodNotUsable";
  return cause.code === "resource_missing" ? "unknownPaymentMethod" : cause.code;
}

function describeDispute(status: Stripe.Dispute.Status): GatewayDispute["status"] {
  switch (status) {
    case "won":
      return "won";
    case "lost":
      return "lost";
    case "needs_response":
    case "under_review":
      return "open";
    default:
      // Warnings, and disputes that were prevented: the money has stayed with us.
      return "inquiry";
  }
}

/** Each card network has its own term, so it is read and never assumed. */
function readCaptureBefore(intent: Stripe.PaymentIntent): Date {
  const charge = intent.latest_charge;
  const seconds =
    charge !== null && typeof charge === "object"
      ? charge.payment_method_details?.card?.capture_before
      : undefined;
  if (seconds === undefined)
    throw new PartnerUnavailable("paymentGateway", `payment ${intent.id} is held without capture_before`);
  return new Date(seconds * 1000);
}

/** @throws PartnerUnavailable for a question whose answer is not known: it may be asked again */
async function certain<Answer>(asked: Promise<Answer>): Promise<Answer> {
  try {
    return await asked;
  } catch (error) {
    throw asTransient(error);
  }
}

function asTransient(error: unknown): unknown {
  if (
    error instanceof Stripe.errors.StripeConnectionError ||
    error instanceof Stripe.errors.StripeAPIError ||
    error instanceof Stripe.errors.StripeRateLimitError
  )
    return new PartnerUnavailable("paymentGateway", error.message, error);
  return error;
}
