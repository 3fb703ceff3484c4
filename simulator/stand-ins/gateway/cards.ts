import * as z from "zod";
import type { PartnerStore } from "../shared/store.ts";

// The cards a customer can pay with: Stripe's own test payment methods, by the names its documentation gives
// them, and what each does. https://docs.stripe.com/testing

export const cardBehaviours = ["approve", "decline", "declineCapture"] as const;

const cardSchema = z.object({
  /** `declineCapture`: the hold is granted and its capture refused, as a bank may do days later. */
  behaviour: z.enum(cardBehaviours),
  declineCode: z.string(),
  declineMessage: z.string(),
  brand: z.string(),
  last4: z.string(),
});
export type Card = z.infer<typeof cardSchema>;
export type CardBehaviour = Card["behaviour"];

const visa: Card = {
  behaviour: "approve",
  declineCode: "generic_decline",
  declineMessage: "The card was declined.",
  brand: "visa",
  last4: "4242",
};

const knownCards: Readonly<Record<string, Card>> = {
  pm_card_visa: visa,
  pm_card_mastercard: { ...visa, brand: "mastercard", last4: "4444" },
  pm_card_chargeDeclined: { ...visa, behaviour: "decline", last4: "0002" },
  pm_card_chargeDeclinedInsufficientFunds: {
    ...visa,
    behaviour: "decline",
    declineCode: "insufficient_funds",
    declineMessage: "The card has insufficient funds.",
    last4: "9995",
  },
};

export const cardExpiry = { exp_month: 12, exp_year: 2040 };

export function openCards(store: PartnerStore) {
  const turned = store.collection(
    "cards",
    z.object({ paymentMethod: z.string(), behaviour: z.enum(cardBehaviours) }),
  );
  return {
    /** `undefined`: the gateway knows no such payment method. */
    find(paymentMethod: string): Card | undefined {
      const behaviour = turned.get(paymentMethod)?.behaviour;
      const known = Object.hasOwn(knownCards, paymentMethod) ? knownCards[paymentMethod] : undefined;
      return behaviour === undefined ? known : { ...(known ?? visa), behaviour };
    },
    /** What each card that was turned does now. */
    listTurned: () => turned.list(),
    /** Every card does again what Stripe's documentation says. */
    turnBack(): void {
      for (const { paymentMethod } of turned.list()) turned.delete(paymentMethod);
    },
    /** From now on the card does this; a name not known yet becomes a Visa card. */
    turn(paymentMethod: string, behaviour: CardBehaviour): void {
      turned.put(paymentMethod, { paymentMethod, behaviour });
    },
  };
}

export type Cards = ReturnType<typeof openCards>;
