/** The first wait is up to a second: a restarted broker is back by then. */
const firstMs = 1_000;
/** No car is away longer than a minute after the broker has come back. */
const longestMs = 60_000;

/**
 * Exponential with full jitter, in real ms: a fleet that lost its broker in one moment must not return in one.
 * `attempt` counts from 0; `random` gives [0, 1).
 */
export function backoffMs(attempt: number, random: () => number): number {
  return random() * Math.min(longestMs, firstMs * 2 ** Math.min(attempt, 16));
}
