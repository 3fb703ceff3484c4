/**
 * Time before the bank's release at which the car stops applying: an hour covers the longest transfer, installation
 * and clock difference between a car's trusted time and ours.
 */
export const applyMarginMs = 60 * 60 * 1_000;

/** Time before the release at which we give up: enough to take the money for a proof that arrived in the last minute. */
export const giveUpMarginMs = 10 * 60 * 1_000;

export type HoldWindows = {
  /** The car refuses to commit the entry at or after this business time (epoch ms). */
  applyBeforeMs: number;
  /** From this business time on (epoch ms) the activation is given up, the hold voided and a later proof not charged. */
  giveUpAtMs: number;
};

/**
 * Windows of an activation paid by a hold that ends at `captureBeforeMs` (epoch ms, business time). The car stops
 * first, so what it still applies can still be paid for.
 */
export function planHoldWindows(captureBeforeMs: number): HoldWindows {
  return { applyBeforeMs: captureBeforeMs - applyMarginMs, giveUpAtMs: captureBeforeMs - giveUpMarginMs };
}

/**
 * Windows of an activation whose payment is presumed until `reconcileByMs` (epoch ms, business time). No hold ends
 * there, so the car has the whole time; what it applied in the last moment may still be reported before we give up.
 */
export function planPresumedWindows(reconcileByMs: number): HoldWindows {
  return { applyBeforeMs: reconcileByMs, giveUpAtMs: reconcileByMs + giveUpMarginMs };
}

/** Whether an entry would still reach the car in time: sending one that is past its window only wastes an attempt. */
export function mayStillApply(windows: HoldWindows, nowMs: number): boolean {
  return nowMs < windows.applyBeforeMs;
}
