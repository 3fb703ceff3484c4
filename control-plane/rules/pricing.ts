/** All amounts are integer cents of one currency. */
export type PlanPrices = { basePriceCents: number; optionPricesCents: readonly number[] };

export type PriceRefusal = {
  kind: "refused";
  code: "notAnAmount" | "reservationTooSmall" | "reservationNotBelowPrice";
  message: string;
};

export type PlanPrice = { kind: "priced"; priceCents: number } | PriceRefusal;
export type FinalPayment = { kind: "due"; finalPaymentCents: number } | PriceRefusal;

/** Price of a plan comercial: base and options ("Data Flow Across Operational Processes": Plan Comercial). */
export function pricePlan(plan: PlanPrices): PlanPrice {
  const amounts = [plan.basePriceCents, ...plan.optionPricesCents];
  const wrong = amounts.find((amount) => !isAmount(amount));
  if (wrong !== undefined) return refuseAmount(wrong);
  const priceCents = amounts.reduce((sum, amount) => sum + amount, 0);
  return isAmount(priceCents) ? { kind: "priced", priceCents } : refuseAmount(priceCents);
}

/**
 * What remains for the final payment once the reservation is paid. The reservation must be a real commitment (more
 * than nothing) and leave something to pay, because registration waits for a final payment (DE2).
 */
export function computeFinalPayment(priceCents: number, reservationCents: number): FinalPayment {
  const wrong = [priceCents, reservationCents].find((amount) => !isAmount(amount));
  if (wrong !== undefined) return refuseAmount(wrong);
  if (reservationCents === 0) {
    return { kind: "refused", code: "reservationTooSmall", message: "The reservation must be above zero." };
  }
  if (reservationCents >= priceCents) {
    return {
      kind: "refused",
      code: "reservationNotBelowPrice",
      message: `The reservation of ${reservationCents} cents must stay below the price of ${priceCents} cents.`,
    };
  }
  return { kind: "due", finalPaymentCents: priceCents - reservationCents };
}

function isAmount(cents: number): boolean {
  return Number.isSafeInteger(cents) && cents >= 0;
}

function refuseAmount(cents: number): PriceRefusal {
  return { kind: "refused", code: "notAnAmount", message: `${cents} is not an amount in whole cents.` };
}
