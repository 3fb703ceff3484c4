/** The first wait is up to a second: a restarted broker is back by then. No car waits longer than a minute. */
const ofConnections = { firstMs: 1_000, longestMs: 60_000 };

/**
 * Exponential with full jitter, in the unit of `bounds` (real ms without): a fleet that lost its broker in one
 * moment must not return in one. `attempt` counts from 0; `random` gives [0, 1).
 */
export function backoffMs(
  attempt: number,
  random: () => number,
  { firstMs, longestMs }: { firstMs: number; longestMs: number } = ofConnections,
): number {
  return random() * Math.min(longestMs, firstMs * 2 ** Math.min(attempt, 16));
}
