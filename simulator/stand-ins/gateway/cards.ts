import * as z from "zod";
import type { PartnerStore } from "../shared/store.ts";

// The cards a customer can pay with: Stripe's own test payment methods, by the names its documentation gives
// them, and what each does. https://docs.stripe.com/testing

export const cardBehaviours = [
  "approve",
  "decline",
  "declineCapture",
  "authenticate",
  "authenticateOnce",
  "failForNow",
  "refuseRequest",
  "loseRequest",
  "loseAnswer",
] as const;

const cardSchema = z.object({
  /**
   * `declineCapture`: the hold is granted and its capture refused, as a bank may do days later. `authenticate`: the
   * bank wants the customer to confirm each payment; `authenticateOnce`: only until the card has been set up for a
   * customer. `failForNow`: an error of the card networks, not a decline. `refuseRequest`: the request is not taken.
   * `loseRequest`: a request to pay with it is not done and never answered; `loseAnswer`: it is done and never answered.
   */
  behaviour: z.enum(cardBehaviours),
  declineCode: z.string(),
  declineMessage: z.string(),
  /** Payments with it that still fail; `null`: every one. */
  times: z.int().nullable(),
  brand: z.string(),
  last4: z.string(),
});
export type Card = z.infer<typeof cardSchema>;
export type CardBehaviour = Card["behaviour"];

const visa: Card = {
  behaviour: "approve",
  declineCode: "generic_decline",
  declineMessage: "The card was declined.",
  times: null,
  brand: "visa",
  last4: "4242",
};

function declining(declineCode: string, declineMessage: string, last4: string): Card {
  return { ...visa, behaviour: "decline", declineCode, declineMessage, last4 };
}

const knownCards: Readonly<Record<string, Card>> = {
  pm_card_visa: visa,
  pm_card_mastercard: { ...visa, brand: "mastercard", last4: "4444" },
  pm_card_chargeDeclined: { ...visa, behaviour: "decline", last4: "0002" },
  pm_card_chargeDeclinedInsufficientFunds: declining(
    "insufficient_funds",
    "The card has insufficient funds.",
    "9995",
  ),
  pm_card_chargeDeclinedExpiredCard: declining("expired_card", "The card has expired.", "0069"),
  pm_card_chargeDeclinedLostCard: declining("lost_card", "The card was declined.", "9987"),
  pm_card_chargeDeclinedProcessingError: {
    ...visa,
    behaviour: "failForNow",
    declineCode: "processing_error",
    declineMessage: "An error occurred while processing the card. Try again in a little bit.",
    last4: "0119",
  },
  pm_card_threeDSecure2Required: { ...visa, behaviour: "authenticate", last4: "3220" },
  pm_card_authenticationRequired: { ...visa, behaviour: "authenticate", last4: "3184" },
  pm_card_authenticationRequiredOnSetup: { ...visa, behaviour: "authenticateOnce", last4: "3155" },
  // Ours: Stripe has no test card for this.
  pm_card_usedBefore: {
    ...visa,
    behaviour: "refuseRequest",
    declineMessage:
      "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment. It may not be used again.",
  },
};

export const cardExpiry = { exp_month: 12, exp_year: 2040 };

/** What a card is turned to. */
export const turnedCard = z.strictObject({
  behaviour: z.enum(cardBehaviours),
  /** As `try_again_later`; of `decline` and `failForNow`. */
  code: z
    .string()
    .regex(/^[a-z_]+$/)
    .max(60)
    .optional(),
  /** How many payments it fails, or requests it loses, before it does something else. */
  times: z.int().min(1).max(1_000).optional(),
  /** What it does after that; default: it approves. */
  afterwards: z.enum(cardBehaviours).optional(),
});
export type TurnedCard = z.infer<typeof turnedCard>;

export function openCards(store: PartnerStore) {
  const turned = store.collection("cards", turnedCard.extend({ paymentMethod: z.string() }));
  const setUp = store.collection("setUpCards", z.object({ id: z.string() }));
  const nameSetUp = (paymentMethod: string, customer: string) => `${customer}/${paymentMethod}`;

  /** One of the payments that a card was told to fail has failed. */
  function countFailure(paymentMethod: string): void {
    const turn = turned.get(paymentMethod);
    if (turn?.times === undefined) return;
    const { times, afterwards = "approve", ...rest } = turn;
    turned.put(
      paymentMethod,
      times > 1 ? { ...rest, afterwards, times: times - 1 } : { paymentMethod, behaviour: afterwards },
    );
  }

  return {
    /** `undefined`: the gateway knows no such payment method. */
    find(paymentMethod: string): Card | undefined {
      const turn = turned.get(paymentMethod);
      const known = Object.hasOwn(knownCards, paymentMethod) ? knownCards[paymentMethod] : undefined;
      if (turn === undefined) return known;
      const { behaviour, code, times = null } = turn;
      const card = known ?? visa;
      return { ...card, behaviour, times, declineCode: code ?? card.declineCode };
    },
    /** What each card that was turned does now. */
    listTurned: () => turned.list(),
    /** Every card does again what Stripe's documentation says. */
    turnBack(): void {
      for (const { paymentMethod } of turned.list()) turned.delete(paymentMethod);
    },
    /** From now on the card does this; a name not known yet becomes a Visa card. */
    turn(paymentMethod: string, to: TurnedCard): void {
      turned.put(paymentMethod, { paymentMethod, ...to });
    },
    countFailure,
    /** What becomes of a request to pay with it on its way; uses up one of the card's times. */
    takeLoss(paymentMethod: string): "request" | "answer" | null {
      const behaviour = turned.get(paymentMethod)?.behaviour;
      if (behaviour !== "loseRequest" && behaviour !== "loseAnswer") return null;
      countFailure(paymentMethod);
      return behaviour === "loseRequest" ? "request" : "answer";
    },
    /** The customer has confirmed it once, and agreed that it is used again. */
    setUp(paymentMethod: string, customer: string): void {
      const id = nameSetUp(paymentMethod, customer);
      setUp.put(id, { id });
    },
    isSetUp: (paymentMethod: string, customer: string | null): boolean =>
      customer !== null && setUp.get(nameSetUp(paymentMethod, customer)) !== undefined,
  };
}

export type Cards = ReturnType<typeof openCards>;
