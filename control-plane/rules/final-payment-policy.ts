// The specification says "Payment failed: sin asignar", at the first refusal and with no date. A dealership may allow
// more tries, and it may set a deadline: both are configured, and both default to the specification.

export type FinalPaymentTerms = {
  /** Refusals by the bank with which the car is lost: 1 is the first. */
  tries: number;
  /** Days from the request to pay to the loss of the car; 0: there is no such date. */
  deadlineDays: number;
};

export const defaultFinalPaymentTerms: FinalPaymentTerms = { tries: 1, deadlineDays: 0 };

/** Days before the end at which the customer is reminded; those that lie before the request are left out. */
export const reminderDaysBefore: readonly number[] = [7, 3, 1];

/** When the car and the reservation are lost, for documents and people. */
// biome-ignore format: one row a line, its reason below
export const forfeitureRules = {
  FP1: { text: "The bank refuses as often as the terms allow: the car goes to stock and the reservation is forfeited",
    reason: 'The specification\'s "customer loses reservation", with the number of refusals written down.' },
  FP2: { text: "The bank refuses before that and in time: the customer is told and may pay again",
    reason: "A card over its limit is not a withdrawal; the car stays reserved meanwhile." },
  FP3: { text: "The deadline passes without the money: the same as the last refusal",
    reason: "A finished car that is not paid for costs the dealership every day." },
  FP4: { text: "A payment that the bank is still being asked for at the deadline is waited for",
    reason: "If the answer is yes, the customer paid in time; a slow gateway must not cost them the car." },
} as const;

const dayMs = 86_400_000;

/** `null`: the terms set no date. Epoch ms, business time. */
export function planFinalPaymentDue(askedAtMs: number, terms: FinalPaymentTerms): number | null {
  return terms.deadlineDays === 0 ? null : askedAtMs + terms.deadlineDays * dayMs;
}

/** The next reminder after `nowMs`, or the deadline itself. */
export function planNextNotice(askedAtMs: number, dueAtMs: number, nowMs: number): number {
  const reminders = reminderDaysBefore
    .map((days) => dueAtMs - days * dayMs)
    .filter((atMs) => atMs > askedAtMs && atMs > nowMs);
  return Math.min(dueAtMs, ...reminders);
}

export type AfterRefusal = { kind: "lost" } | { kind: "mayTryAgain"; triesLeft: number };

/** @param refusals by the bank, this one included */
export function decideAfterRefusal(
  refusals: number,
  tries: number,
  dueAtMs: number | null,
  nowMs: number,
): AfterRefusal {
  if (refusals >= tries) return { kind: "lost" };
  if (dueAtMs !== null && nowMs >= dueAtMs) return { kind: "lost" };
  return { kind: "mayTryAgain", triesLeft: tries - refusals };
}
