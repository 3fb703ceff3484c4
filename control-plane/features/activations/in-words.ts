type Detail = Readonly<Record<string, unknown>>;

/** What the steps about money mean, for a reader who does not know their names. */
const sentences: Readonly<Record<string, (detail: Detail) => string>> = {
  paymentAuthorised: () =>
    "The bank holds the price; nothing is taken before the car has proved the service.",
  paymentAwaited: ({ reason }) =>
    `The bank did not answer. The payment waits, and nothing is delivered, until it is known: ${reason}.`,
  paymentPresumed: ({ knownBy }) =>
    `The bank did not answer. The payment is presumed to succeed and the service delivered; the truth is known by ${knownBy}.`,
  presumptionConfirmed: ({ captureBefore }) =>
    captureBefore === undefined
      ? "The presumed payment exists: the price is paid."
      : `The presumed payment exists: the bank holds the price until ${captureBefore}.`,
  presumptionRefuted: ({ reason }) =>
    reason === "neverMade"
      ? "The presumed payment was never made: the gateway knows of none. What was delivered is taken back; nothing was charged."
      : `The bank refused the presumed payment (${reason}). What was delivered is taken back; nothing was charged.`,
  serviceWithdrawn: ({ service, reason }) => `${service} is taken out of the car again (${reason}).`,
  paymentChargedBack: ({ amountCents, reason }) =>
    `The customer's bank took ${amountCents} cents back (${reason}): a charge-back.`,
  chargeBackWon: ({ amountCents }) => `The bank gave the ${amountCents} cents of the charge-back back to us.`,
  chargeBackLost: ({ amountCents }) => `The charge-back of ${amountCents} cents is final.`,
  paymentRefunded: ({ amountCents, reason }) => `${amountCents} cents were given back (${reason}).`,
};

/** `null` where the step's name says enough. */
export function sayInWords(event: string, detail: Detail): string | null {
  return sentences[event]?.(detail) ?? null;
}
