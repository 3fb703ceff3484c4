/**
 * "transient": the car or the way to it failed, another try may succeed.
 * "permanent": the car refused for good (wrong hardware, unsupported configuration): a retry would only repeat it.
 */
export type FailureClass = "transient" | "permanent";

export type RetryPolicy = {
  /** Retries after the first attempt. */
  retries: number;
  /** Ceiling of the wait before the first retry. */
  firstDelayMs: number;
  /** Ceiling of the wait before the last retry. */
  lastDelayMs: number;
};

/**
 * The specification says "retry N times". Four retries whose waits grow from 2 s to 5 min outlast a reboot and a
 * tunnel, and still tell the customer within about six minutes.
 */
export const activationRetryPolicy: RetryPolicy = { retries: 4, firstDelayMs: 2_000, lastDelayMs: 300_000 };

export type RetryDecision =
  | { kind: "retry"; event: "retryStarted"; retry: number; delayMs: number; attemptsAllowed: number }
  | { kind: "exhausted"; event: "attemptsExhausted"; attemptsAllowed: number };

/** First attempt and retries together: `ActivationFacts.attemptsAllowed` while failures are transient. */
export function countAttemptsAllowed(policy: RetryPolicy): number {
  return 1 + policy.retries;
}

/** Longest wait, in ms, before retry number `retry` (1, 2, …): geometric from the first delay to the last. */
export function computeDelayCeiling(policy: RetryPolicy, retry: number): number {
  const steps = policy.retries - 1;
  if (steps <= 0) return policy.firstDelayMs;
  const factor = (policy.lastDelayMs / policy.firstDelayMs) ** (1 / steps);
  return Math.min(policy.lastDelayMs, Math.round(policy.firstDelayMs * factor ** (retry - 1)));
}

/**
 * Decides what follows a failed attempt. `attemptsUsed` counts the failed one; `random` is in [0, 1).
 * Full jitter (the whole wait is drawn, not a part of it) keeps a fleet that failed together from returning together.
 * A permanent failure spends every remaining attempt: store the returned `attemptsAllowed`, so the machine's
 * guards (AG7, AG8) see the same end.
 */
export function decideRetry(
  failure: FailureClass,
  attemptsUsed: number,
  random: number,
  policy: RetryPolicy = activationRetryPolicy,
): RetryDecision {
  const allowed = countAttemptsAllowed(policy);
  if (failure === "permanent") {
    return {
      kind: "exhausted",
      event: "attemptsExhausted",
      attemptsAllowed: Math.min(allowed, attemptsUsed),
    };
  }
  if (attemptsUsed >= allowed) {
    return { kind: "exhausted", event: "attemptsExhausted", attemptsAllowed: allowed };
  }
  const delayMs = Math.floor(random * computeDelayCeiling(policy, attemptsUsed));
  return { kind: "retry", event: "retryStarted", retry: attemptsUsed, delayMs, attemptsAllowed: allowed };
}
