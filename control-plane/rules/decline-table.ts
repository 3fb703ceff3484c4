// Why a payment was not made, and what follows: one table for reservation, final and service payments. Only a refusal by
// the bank counts as one: it can cost the customer the car (FA10, VA6). Codes are the gateway's own, where it gives one;
// those in camel case are ours.

/**
 * refusal: the bank, or a customer who let the time to confirm pass, said no. tryAgain: nobody said no, and the gateway
 * is asked again by itself. confirm: the customer must confirm at the bank. notMade: the request cannot be carried out
 * with this card or amount; the bank refused nothing, and another card is accepted at once.
 */
export const declineClasses = ["refusal", "tryAgain", "confirm", "notMade"] as const;
export type DeclineClass = (typeof declineClasses)[number];

export type Decline = {
  class: DeclineClass;
  /** What the customer may do. */
  advice: string;
  /** What staff see. */
  staff: string;
};

const otherCard = "Use another card.";
const askBank = "Ask your bank, or use another card.";
const later = "Try again later, or use another card.";
const confirmAgain = "Pay again and confirm at your bank, or use another card.";

const refusal = (advice: string, staff: string): Decline => ({ class: "refusal", advice, staff });
const tryAgain = (staff: string): Decline => ({ class: "tryAgain", advice: later, staff });
const confirm = (staff: string): Decline => ({ class: "confirm", advice: confirmAgain, staff });
const notMade = (advice: string, staff: string): Decline => ({ class: "notMade", advice, staff });

// biome-ignore format: one row a line
export const declineTable = {
  // The bank says no.
  card_declined:               refusal(askBank, "The bank refused the card without a reason."),
  generic_decline:             refusal(askBank, "The bank refused the card without a reason."),
  do_not_honor:                refusal(askBank, "The bank refused the card without a reason."),
  call_issuer:                 refusal(askBank, "The bank wants to speak to the customer."),
  insufficient_funds:          refusal("Use another card, or ask your bank for a higher limit.", "The account or the card's limit does not cover the amount."),
  card_velocity_exceeded:      refusal("Use another card, or ask your bank for a higher limit.", "The card's limit is used up."),
  withdrawal_count_limit_exceeded: refusal("Use another card, or ask your bank for a higher limit.", "The card's limit is used up."),
  expired_card:                refusal(otherCard, "The card has expired."),
  lost_card:                   refusal(otherCard, "The card was reported lost. Do not tell the customer why."),
  stolen_card:                 refusal(otherCard, "The card was reported stolen. Do not tell the customer why."),
  pickup_card:                 refusal(otherCard, "The bank wants the card back. Do not tell the customer why."),
  fraudulent:                  refusal(otherCard, "The gateway suspects fraud. Do not tell the customer why."),
  incorrect_cvc:               refusal("Enter the card again, or use another one.", "The security code is wrong."),
  incorrect_number:            refusal("Enter the card again, or use another one.", "The card number is wrong."),
  card_not_supported:          refusal(otherCard, "The card cannot pay for this."),
  confirmationExpired:         refusal(confirmAgain, "The customer did not confirm at the bank in time."),

  // Nobody has said no.
  processing_error:            tryAgain("The gateway could not process the card."),
  try_again_later:             tryAgain("The bank asks to try again later."),
  issuer_not_available:        tryAgain("The bank could not be reached."),
  reenter_transaction:         tryAgain("The bank could not process the payment and asks for it again."),
  approve_with_id:             tryAgain("The bank asks for the payment again."),
  notAttempted:                tryAgain("The gateway has the payment and has asked no bank."),
  payment_intent_rate_limit_exceeded: tryAgain("The gateway took no more requests for this payment."),
  rate_limit:                  tryAgain("The gateway took no more requests."),
  lock_timeout:                tryAgain("The gateway was busy with this payment."),

  // The customer must confirm.
  authentication_required:     confirm("The bank wants the customer to confirm (3-D Secure)."),
  authentication_not_handled:  confirm("The bank wants the customer to confirm (3-D Secure)."),
  offline_pin_required:        confirm("The bank wants the customer to confirm (3-D Secure)."),

  // Not with this card or this amount.
  payment_intent_authentication_failure: notMade(confirmAgain, "The customer could not be confirmed by the bank; no refusal."),
  amount_too_small:            notMade("Ask the dealership or support: this amount cannot be paid by card.", "The amount is below the gateway's least."),
  amount_too_large:            notMade("Pay by bank transfer.", "The amount is above the gateway's most."),
  invalid_amount:              notMade(otherCard, "The card cannot pay this amount."),
  currency_not_supported:      notMade(otherCard, "The card cannot pay in this currency."),
  unknownPaymentMethod:        notMade("Enter the card again.", "The gateway does not know this card."),
  paymentMethodNotUsable:      notMade("Enter the card again, or use another one.", "This card was used before and may not be used again."),
  cancelledBeforeUse:          notMade("Buy again if you still want it.", "Given up before the bank was asked."),
  secondLookFailed:            notMade("Ask your dealership.", "The second look did not find the money."),
  neverMade:                   notMade("Pay again if you still want it.", "The gateway knows of no such payment."),
  released:                    notMade("Pay again if you still want it.", "The payment was cancelled at the gateway."),
  lapsed:                      notMade("Pay again if you still want it.", "The bank's hold ended."),
  payment_method_unexpected_state: notMade("Enter the card again, or use another one.", "This card was used before and may not be used again."),
  requestRefused:              notMade(otherCard, "The gateway did not take the request and gave no code."),
} as const satisfies Record<string, Decline>;

/** The bank was asked, and its code is not in the table: banks have hundreds, and all of them mean no. */
const unknownRefusal = refusal(askBank, "The bank refused the card with a code that is not in the table.");
/** The gateway did not take our request, with a code that is not in the table. */
const unknownRequest = notMade(
  otherCard,
  "The gateway did not take the request, with a code not in the table.",
);

/** @param of whether the bank's answer or the gateway's judgement of our request gave the code */
export function readDecline(code: string, of: "bank" | "request" = "bank"): Decline {
  const known: Readonly<Record<string, Decline>> = declineTable;
  if (Object.hasOwn(known, code)) return known[code] ?? unknownRefusal;
  return of === "bank" ? unknownRefusal : unknownRequest;
}

/**
 * Tries to have a payment made before it ends unpaid and a person is asked: the waits grow as e, e², … e⁶ s, so they
 * reach over about ten minutes, and the customer may still be there.
 */
export const mostTries = 7;

/** A person must see why: nobody refused anything, and the customer can do nothing about it. */
export function needsPerson(code: string): boolean {
  const known: Readonly<Record<string, Decline>> = declineTable;
  const isKnown = Object.hasOwn(known, code);
  const { class: kind } = readDecline(code, "request");
  return kind === "tryAgain" || !isKnown || code === "requestRefused" || code.startsWith("amount_too_");
}

/** Confirmation at the bank. Business time. */
export const defaultConfirmationHours = 24;

const hourMs = 3_600_000;

export type ConfirmationPlan = { remindAtMs: number; confirmByMs: number };

/** The customer gets one reminder, half-way. */
export function planConfirmation(askedAtMs: number, hours: number): ConfirmationPlan {
  const spanMs = hours * hourMs;
  return { remindAtMs: askedAtMs + spanMs / 2, confirmByMs: askedAtMs + spanMs };
}

/** From this amount on a payment that staff record needs a second person: as much as a reservation rarely is. */
export const defaultSecondLookCents = 1_000_000;
