import type { ActivationState } from "./activation-machine.ts";

// States that mean the same to more than one decision.

/** Paid or presumed, and no attempt is under way: the car's next free turn is theirs, or the one after a backoff. */
export const waitsForTheCar = ["OTAQueue", "RetryQueue"] as const satisfies readonly ActivationState[];

/** Paid or presumed, and neither proved nor given up. */
export const onItsWay = [...waitsForTheCar, "OTAAttempt"] as const satisfies readonly ActivationState[];

export function isOneOf<State extends ActivationState>(
  set: readonly State[],
  state: ActivationState | "start" | "end",
): state is State {
  return set.some((one) => one === state);
}
