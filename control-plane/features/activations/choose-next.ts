import { system } from "../../lifecycle/actor.ts";
import type { CarChange } from "../../lifecycle/desired-state.ts";
import type { ActivationMove } from "../../lifecycle/move-activations.ts";
import {
  type HoldWindows,
  mayStillApply,
  planHoldWindows,
  planPresumedWindows,
} from "../../rules/hold-windows.ts";
import type { LinkRow } from "../../store/lock-links.ts";
import type { LoadedActivation } from "./load-activations.ts";

/** The next attempt of a car: the event that begins it, and what the car's next version carries. */
export type NextAttempt = CarChange & { activation: LoadedActivation; move: ActivationMove };

/**
 * The next attempt of each free car: the oldest activation in OTAQueue, or in RetryQueue with its backoff over. One that
 * the car could no longer commit in time holds up no other: the deadline that gives it up is near.
 */
export function chooseNext(
  now: Date,
  free: readonly LinkRow[],
  waiting: readonly LoadedActivation[],
): NextAttempt[] {
  const ready = waiting
    .filter(({ state, retryAt }) => state === "OTAQueue" || (retryAt !== null && retryAt <= now))
    .toSorted((a, b) => Number(a.queuedAt) - Number(b.queuedAt))
    .map(withWindows)
    .filter(({ windows }) => mayStillApply(windows, now.getTime()));
  return free.flatMap((link) => {
    const next = ready.find(({ activation }) => activation.vehicleId === link.vehicle_id);
    if (next === undefined) return [];
    const { activation, entitlementId, windows } = next;
    const { id: activationId, facts } = activation;
    const attempt = facts.attemptsUsed + 1;
    return [
      {
        activation,
        move: {
          event: activation.state === "RetryQueue" ? "retryStarted" : "attemptStarted",
          actor: system,
          set: { attempts_used: attempt, retry_at: null },
          detail: { attempt },
        },
        link,
        unproved: {
          kind: "service",
          activationId,
          attempt,
          entitlementId,
          applyBefore: new Date(windows.applyBeforeMs),
        },
      },
    ];
  });
}

function withWindows(activation: LoadedActivation) {
  const { id, entitlementId } = activation;
  const windows = windowsOf(activation);
  if (entitlementId === null || windows === null) throw new Error(`activation ${id} waits without a hold`);
  return { activation, entitlementId, windows };
}

/** Until when the car may apply it, and when it is given up: by the hold, or by when a presumed payment is known. */
export function windowsOf({
  captureBefore,
  presumedUntil,
}: Pick<LoadedActivation, "captureBefore" | "presumedUntil">): HoldWindows | null {
  if (presumedUntil !== null) return planPresumedWindows(presumedUntil.getTime());
  return captureBefore === null ? null : planHoldWindows(captureBefore.getTime());
}
