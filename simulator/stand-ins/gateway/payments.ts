import { type Books, type Cause, type Outcome, refused } from "./books.ts";
import { type Card, cardExpiry } from "./cards.ts";
import { cardDeclined, invalidParameter, noSuch, unexpectedState } from "./errors.ts";
import type { Charge, Intent, IntentStatus, PaymentError } from "./objects.ts";
import type { ConfirmIntent, CreateIntent } from "./parameters.ts";

// The life of a payment intent: created, confirmed (paid or held), captured or cancelled.

/** How long a card hold can be captured: what most card networks give an online payment. */
const holdSeconds = 7 * 24 * 3600;

export function createPayment(books: Books, request: CreateIntent, cause: Cause): Outcome<Intent> {
  if (request.customer !== undefined && books.customers.get(request.customer) === undefined)
    return refused(noSuch("customer", request.customer, "customer", 400));
  if (request.payment_method !== undefined && books.cards.find(request.payment_method) === undefined)
    return refused(noSuch("PaymentMethod", request.payment_method, "payment_method", 400));
  if (request.confirm === true && request.payment_method === undefined)
    return refused(invalidParameter("payment_method", "confirm=true needs a payment_method"));
  if (request.off_session !== undefined && request.confirm !== true)
    return refused(invalidParameter("off_session", "off_session is only taken together with confirm=true"));
  const id = books.newId("pi");
  const intent: Intent = {
    id,
    object: "payment_intent",
    amount: request.amount,
    amount_capturable: 0,
    amount_received: 0,
    canceled_at: null,
    cancellation_reason: null,
    capture_method: request.capture_method ?? "automatic_async",
    client_secret: `${id}_secret_${books.newId("s").slice(2)}`,
    confirmation_method: "automatic",
    created: books.nowSeconds(),
    currency: request.currency,
    customer: request.customer ?? null,
    description: request.description ?? null,
    last_payment_error: null,
    latest_charge: null,
    livemode: false,
    metadata: request.metadata ?? {},
    next_action: null,
    payment_method: request.payment_method ?? null,
    payment_method_types: request.payment_method_types ?? ["card"],
    receipt_email: request.receipt_email ?? null,
    setup_future_usage: request.setup_future_usage ?? null,
    statement_descriptor: request.statement_descriptor ?? null,
    statement_descriptor_suffix: request.statement_descriptor_suffix ?? null,
    status: request.payment_method === undefined ? "requires_payment_method" : "requires_confirmation",
  };
  books.intents.put(id, intent);
  return request.confirm === true
    ? confirmPayment(books, intent, {}, cause)
    : { status: "done", object: intent };
}

const confirmable: readonly IntentStatus[] = ["requires_payment_method", "requires_confirmation"];

export function confirmPayment(
  books: Books,
  intent: Intent,
  request: ConfirmIntent,
  cause: Cause,
): Outcome<Intent> {
  if (!confirmable.includes(intent.status)) return refused(unexpectedState(intent, "confirmed", confirmable));
  const paymentMethod = request.payment_method ?? intent.payment_method;
  if (paymentMethod === null)
    return refused(invalidParameter("payment_method", "the intent has no payment method to confirm with"));
  const card = books.cards.find(paymentMethod);
  if (card === undefined) return refused(noSuch("PaymentMethod", paymentMethod, "payment_method", 400));
  const attempted: Intent = {
    ...intent,
    payment_method: paymentMethod,
    capture_method: request.capture_method ?? intent.capture_method,
  };
  return card.behaviour === "decline"
    ? decline(books, attempted, paymentMethod, card, cause)
    : approve(books, attempted, paymentMethod, card, cause);
}

function approve(
  books: Books,
  intent: Intent,
  paymentMethod: string,
  card: Card,
  cause: Cause,
): Outcome<Intent> {
  const isHold = intent.capture_method === "manual";
  const charge = makeCharge(books, intent, paymentMethod, card, isHold ? "held" : "captured");
  const paid: Intent = {
    ...intent,
    status: isHold ? "requires_capture" : "succeeded",
    amount_capturable: isHold ? intent.amount : 0,
    amount_received: isHold ? 0 : intent.amount,
    latest_charge: charge.id,
    last_payment_error: null,
  };
  books.charges.put(charge.id, charge);
  books.intents.put(paid.id, paid);
  const event = isHold ? "payment_intent.amount_capturable_updated" : "payment_intent.succeeded";
  books.announce(event, paid.id, paid, cause);
  return { status: "done", object: paid };
}

function decline(
  books: Books,
  intent: Intent,
  paymentMethod: string,
  card: Card,
  cause: Cause,
): Outcome<Intent> {
  const charge = makeCharge(books, intent, paymentMethod, card, "declined");
  const error = describeDecline(charge, paymentMethod, card);
  const failed: Intent = {
    ...intent,
    status: "requires_payment_method",
    payment_method: null,
    latest_charge: charge.id,
    last_payment_error: error,
  };
  books.charges.put(charge.id, charge);
  books.intents.put(failed.id, failed);
  books.announce("payment_intent.payment_failed", failed.id, failed, cause);
  return refused(cardDeclined(error, failed));
}

function describeDecline(charge: Charge, paymentMethod: string, card: Card): PaymentError {
  return {
    type: "card_error",
    code: "card_declined",
    decline_code: card.declineCode,
    message: card.declineMessage,
    charge: charge.id,
    payment_method: {
      id: paymentMethod,
      object: "payment_method",
      type: "card",
      card: { brand: card.brand, last4: card.last4, ...cardExpiry },
    },
  };
}

function makeCharge(
  books: Books,
  intent: Intent,
  paymentMethod: string,
  card: Card,
  result: "held" | "captured" | "declined",
): Charge {
  const created = books.nowSeconds();
  const isDeclined = result === "declined";
  return {
    id: books.newId("ch"),
    object: "charge",
    amount: intent.amount,
    amount_captured: result === "captured" ? intent.amount : 0,
    amount_refunded: 0,
    captured: result === "captured",
    created,
    currency: intent.currency,
    customer: intent.customer,
    description: intent.description,
    disputed: false,
    failure_code: isDeclined ? "card_declined" : null,
    failure_message: isDeclined ? card.declineMessage : null,
    livemode: false,
    metadata: intent.metadata,
    outcome: isDeclined
      ? { network_status: "declined_by_network", reason: card.declineCode, type: "issuer_declined" }
      : { network_status: "approved_by_network", reason: null, type: "authorized" },
    paid: !isDeclined,
    payment_intent: intent.id,
    payment_method: paymentMethod,
    payment_method_details: {
      type: "card",
      card: {
        brand: card.brand,
        last4: card.last4,
        ...cardExpiry,
        ...(result === "held" ? { capture_before: created + holdSeconds } : {}),
      },
    },
    refunded: false,
    status: isDeclined ? "failed" : "succeeded",
  };
}

export function capturePayment(
  books: Books,
  intent: Intent,
  request: { amount_to_capture?: number; metadata?: Record<string, string> },
  cause: Cause,
): Outcome<Intent> {
  const charge = intent.latest_charge === null ? undefined : books.charges.get(intent.latest_charge);
  if (intent.status !== "requires_capture" || charge === undefined)
    return refused(unexpectedState(intent, "captured", ["requires_capture"]));
  const amount = request.amount_to_capture ?? intent.amount_capturable;
  if (amount > intent.amount_capturable)
    return refused(
      invalidParameter(
        "amount_to_capture",
        `${amount} is more than the ${intent.amount_capturable} held`,
        "amount_too_large",
      ),
    );
  const card = books.cards.find(charge.payment_method);
  if (card?.behaviour === "declineCapture")
    return refused(cardDeclined(describeDecline(charge, charge.payment_method, card), intent));
  const captured: Intent = {
    ...intent,
    status: "succeeded",
    amount_capturable: 0,
    amount_received: amount,
    metadata: { ...intent.metadata, ...request.metadata },
  };
  books.charges.put(charge.id, { ...charge, captured: true, amount_captured: amount });
  books.intents.put(captured.id, captured);
  books.announce("payment_intent.succeeded", captured.id, captured, cause);
  return { status: "done", object: captured };
}

const cancellable: readonly IntentStatus[] = [
  "requires_payment_method",
  "requires_confirmation",
  "requires_capture",
];

export function cancelPayment(
  books: Books,
  intent: Intent,
  reason: Intent["cancellation_reason"],
  cause: Cause,
): Outcome<Intent> {
  if (!cancellable.includes(intent.status)) return refused(unexpectedState(intent, "canceled", cancellable));
  const canceled: Intent = {
    ...intent,
    status: "canceled",
    amount_capturable: 0,
    canceled_at: books.nowSeconds(),
    cancellation_reason: reason,
  };
  books.intents.put(canceled.id, canceled);
  books.announce("payment_intent.canceled", canceled.id, canceled, cause);
  return { status: "done", object: canceled };
}
