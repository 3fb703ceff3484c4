import { type Books, type Cause, type Outcome, refused } from "./books.ts";
import { type Card, cardExpiry } from "./cards.ts";
import { askCustomer } from "./confirmation.ts";
import { cardDeclined, cardNotUsable, invalidParameter, noSuch, unexpectedState } from "./errors.ts";
import type { Charge, Intent, IntentStatus, PaymentError } from "./objects.ts";
import type { ConfirmIntent, CreateIntent } from "./parameters.ts";

// The life of a payment intent: created, confirmed (paid or held), captured or cancelled.

/** Stripe's least charge in euro: 0.50. */
const leastAmount = 50;

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
  if (request.amount < leastAmount)
    return refused(
      invalidParameter("amount", `the amount must be at least ${leastAmount}`, "amount_too_small"),
    );
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
    ? confirmPayment(
        books,
        intent,
        {
          error_on_requires_action: request.error_on_requires_action,
          off_session: request.off_session,
          return_url: request.return_url,
        },
        cause,
      )
    : { status: "done", object: intent };
}

const confirmable: readonly IntentStatus[] = [
  "requires_payment_method",
  "requires_confirmation",
  "requires_action",
];

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
  switch (card.behaviour) {
    case "refuseRequest":
      books.intents.put(intent.id, { ...intent, payment_method: null, status: "requires_payment_method" });
      return refused(cardNotUsable(card.declineMessage));
    case "decline":
    case "failForNow":
      books.cards.countFailure(paymentMethod);
      return decline(books, attempted, paymentMethod, card, cause);
    case "authenticate":
      return askCustomer(books, attempted, request, () =>
        decline(books, attempted, paymentMethod, unauthenticated(card), cause),
      );
    case "authenticateOnce":
      return books.cards.isSetUp(paymentMethod, attempted.customer)
        ? approve(books, attempted, paymentMethod, card, cause)
        : askCustomer(books, attempted, request, () =>
            decline(books, attempted, paymentMethod, unauthenticated(card), cause),
          );
    case "approve":
    case "declineCapture":
    // The loss is on the way here and back (server.ts).
    case "loseRequest":
    case "loseAnswer":
      return approve(books, attempted, paymentMethod, card, cause);
  }
}

/** Without the customer present nobody can confirm. */
function unauthenticated(card: Card): Card {
  return {
    ...card,
    declineCode: "authentication_required",
    declineMessage: "The card needs the customer to confirm the payment.",
  };
}

/** The customer was at the bank's page, and came back. */
export function finishConfirmation(
  books: Books,
  intent: Intent,
  outcome: "confirm" | "fail",
  cause: Cause,
): Outcome<Intent> {
  const { payment_method: paymentMethod } = intent;
  const card = paymentMethod === null ? undefined : books.cards.find(paymentMethod);
  if (intent.status !== "requires_action" || paymentMethod === null || card === undefined)
    return refused(unexpectedState(intent, "confirmed by the customer", ["requires_action"]));
  const isRefused = card.behaviour === "decline" || card.behaviour === "failForNow";
  if (outcome === "confirm" && !isRefused) return approve(books, intent, paymentMethod, card, cause);
  if (isRefused) books.cards.countFailure(paymentMethod);
  const unconfirmed = {
    ...card,
    declineCode: "payment_intent_authentication_failure",
    declineMessage: "The customer could not be confirmed.",
  };
  const answer = decline(books, intent, paymentMethod, outcome === "confirm" ? card : unconfirmed, cause);
  const after = books.intents.get(intent.id);
  return after === undefined ? answer : { status: "done", object: after };
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
    next_action: null,
    amount_capturable: isHold ? intent.amount : 0,
    amount_received: isHold ? 0 : intent.amount,
    latest_charge: charge.id,
    last_payment_error: null,
  };
  books.charges.put(charge.id, charge);
  books.intents.put(paid.id, paid);
  if (intent.customer !== null && intent.setup_future_usage === "off_session")
    books.cards.setUp(paymentMethod, intent.customer);
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
    next_action: null,
    payment_method: null,
    latest_charge: charge.id,
    last_payment_error: error,
  };
  books.charges.put(charge.id, charge);
  books.intents.put(failed.id, failed);
  books.announce("payment_intent.payment_failed", failed.id, failed, cause);
  return refused(cardDeclined(error, failed));
}

/** Codes of their own, which no bank gave. */
const withoutDecline = new Set([
  "processing_error",
  "authentication_required",
  "payment_intent_authentication_failure",
]);

function codeOf(declineCode: string): string {
  return declineCode === "expired_card" ? declineCode : "card_declined";
}

function describeDecline(charge: Charge, paymentMethod: string, card: Card): PaymentError {
  return {
    type: "card_error",
    ...(withoutDecline.has(card.declineCode)
      ? { code: card.declineCode }
      : { code: codeOf(card.declineCode), decline_code: card.declineCode }),
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
  if (card?.behaviour === "declineCapture") {
    books.cards.countFailure(charge.payment_method);
    return refused(cardDeclined(describeDecline(charge, charge.payment_method, card), intent));
  }
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
  "requires_action",
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
    next_action: null,
    canceled_at: books.nowSeconds(),
    cancellation_reason: reason,
  };
  books.intents.put(canceled.id, canceled);
  books.announce("payment_intent.canceled", canceled.id, canceled, cause);
  return { status: "done", object: canceled };
}
