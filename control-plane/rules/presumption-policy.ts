import type { PaymentKind } from "./payment-machine.ts";

// The specification says "Payment gateway timeout: assume success, reconcile async; deliver service; rare chargeback
// risk", and also "OTA waits for payment confirmation". Both hold when the risk is small, bounded and looked up.

/** Amounts are integer cents. Zero presumes nothing. */
export type PresumptionLimits = {
  /** The largest payment that may be presumed. */
  maxAmountCents: number;
  /** Open at once for one customer, at most. */
  customerCapCents: number;
  /** Open at once for all customers, at most. */
  totalCapCents: number;
};

/** Two expensive services for one customer, and two hundred such customers: the cost of a bad day. */
export const defaultPresumptionLimits: PresumptionLimits = {
  maxAmountCents: 5_000,
  customerCapCents: 10_000,
  totalCapCents: 1_000_000,
};

/** The facts about a payment that the gateway did not answer. */
export type PresumptionFacts = {
  kind: PaymentKind;
  /** The purchase was not given up while the gateway was being asked. */
  wanted: boolean;
  amountCents: number;
  earlierCaptures: number;
  chargeBacks: number;
  /** Presumed and not known yet, without this payment. */
  customerOpenCents: number;
  totalOpenCents: number;
};

type Holds = (facts: PresumptionFacts, limits: PresumptionLimits) => boolean;

/** @param refusal why the payment waits, for the customer and for support */
function rule(refusal: string, reason: string, holds: Holds) {
  return { refusal, reason, holds };
}

/** All must hold; the first that does not is why the payment waits. The two caps come last: they are taken, not read. */
// biome-ignore format: one row a line, its condition below
export const presumptionRules = {
  PP1: rule("only the payment of a service may be presumed", "A car is not ordered, registered or handed over for money that may not exist.",
         (facts) => facts.kind === "service"),
  PP2: rule("the purchase was given up meanwhile", "Nothing is delivered for a purchase that was cancelled.",
         (facts) => facts.wanted),
  PP3: rule("the customer has not paid anything by card before", "A card that has paid once is likely to pay again; of an unknown one nothing is known.",
         (facts) => facts.earlierCaptures > 0),
  PP4: rule("an earlier payment of the customer was charged back", "The risk that the specification calls rare is not rare after a first charge-back.",
         (facts) => facts.chargeBacks === 0),
  PP5: rule("the price is above what may be presumed", "One wrong presumption must cost little.",
         (facts, limits) => facts.amountCents <= limits.maxAmountCents),
  PP6: rule("the customer has as much open as one customer may", "Many small purchases during one outage would add up to a large one.",
         (facts, limits) => facts.customerOpenCents + facts.amountCents <= limits.customerCapCents),
  PP7: rule("all customers together have as much open as may be", "A long outage must not become a loss that no one decided to take.",
         (facts, limits) => facts.totalOpenCents + facts.amountCents <= limits.totalCapCents),
};

export type PresumptionRuleId = keyof typeof presumptionRules;

export function isPresumptionRule(id: string | null): id is PresumptionRuleId {
  return id !== null && Object.hasOwn(presumptionRules, id);
}

export type PresumptionDecision =
  | { kind: "presumed" }
  | { kind: "waits"; rule: PresumptionRuleId; reason: string };

const order: readonly PresumptionRuleId[] = ["PP1", "PP2", "PP3", "PP4", "PP5", "PP6", "PP7"];

/** Whether an unanswered payment is treated as successful for now, or waits for the gateway's answer. */
export function decidePresumption(facts: PresumptionFacts, limits: PresumptionLimits): PresumptionDecision {
  const rule = order.find((id) => !presumptionRules[id].holds(facts, limits));
  return rule === undefined
    ? { kind: "presumed" }
    : { kind: "waits", rule, reason: presumptionRules[rule].refusal };
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** The gateway remembers an idempotency key for a day: within it the same request can be asked again. */
export const reconcileWithinMs = 24 * hourMs;

/**
 * In the last hour before the deadline we only look the payment up and no longer ask for it: a request still on its
 * way has arrived by then, and a payment not found at the deadline does not exist.
 */
export const lastAskMarginMs = hourMs;

/** A gateway that is back after a hiccup is found within seconds; one that is down is not asked more than hourly. */
export const firstLookUpMs = 10_000;
export const longestLookUpMs = hourMs;

/** Business times, epoch ms. */
export type Presumed = { presumedAtMs: number; reconcileByMs: number };

/**
 * After an unanswered look-up all others wait this long: hundreds of them, one after another, would occupy every
 * worker for the whole outage and hold up the mails behind them.
 */
export const gatewaySilenceMs = minuteMs;

export function planReconciliation(presumedAtMs: number): Presumed {
  return { presumedAtMs, reconcileByMs: presumedAtMs + reconcileWithinMs };
}

/** The wait doubles with the presumption's age. One look-up falls on the deadline itself; more follow it. */
export function planNextLookUp({ presumedAtMs, reconcileByMs }: Presumed, nowMs: number): number {
  const wait = Math.min(longestLookUpMs, Math.max(firstLookUpMs, nowMs - presumedAtMs));
  return nowMs < reconcileByMs ? Math.min(nowMs + wait, reconcileByMs) : nowMs + wait;
}

/** Whether the gateway may still be asked to pay with the same key, or only for the payment's state. */
export function mayAskAgain({ reconcileByMs }: Presumed, nowMs: number): boolean {
  return nowMs < reconcileByMs - lastAskMarginMs;
}

/** The gateway's search lags by a minute, and no request takes longer than some seconds. */
export const searchSettlesAfterMs = 10 * minuteMs;

/**
 * Whether a payment that the gateway does not know now was never made. A purchase that was given up is decided
 * earlier: no one asks for its money again, so only the search's lag has to pass.
 */
export function isDecided({ presumedAtMs, reconcileByMs }: Presumed, nowMs: number, wanted = true): boolean {
  return nowMs >= (wanted ? reconcileByMs : Math.min(reconcileByMs, presumedAtMs + searchSettlesAfterMs));
}
