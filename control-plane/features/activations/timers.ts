import type { RawBuilder } from "kysely";
import { clearingTimers, type Deadline, settingTimers } from "../../store/timers.ts";
import { windowsOf } from "./choose-next.ts";
import type { LoadedActivation } from "./load-activations.ts";

/** Business-time deadlines of an activation: when its next attempt begins, and when its money runs out. */
export const retryTimer = "activationRetry";
export const giveUpTimer = "activationGiveUp";

/** Activations as they are after they have moved. */
type Moved = {
  /** Wait for their cars from here on. */
  queued: readonly LoadedActivation[];
  /** Proved by their cars. */
  delivered: readonly LoadedActivation[];
  /** Will not be delivered. */
  ended: readonly LoadedActivation[];
};

/** The deadlines that begin and end with these moves, as parts of the statement that moves the activations. */
export function changeDeadlines({ queued, delivered, ended }: Moved): RawBuilder<unknown>[] {
  return [
    ...settingTimers(giveUpTimer, queued.filter(({ state }) => state === "OTAQueue").flatMap(giveUpOf)),
    ...settingTimers(retryTimer, queued.flatMap(retryOf)),
    ...clearingTimers([giveUpTimer], delivered.map(idOf)),
    ...clearingTimers([giveUpTimer, retryTimer], ended.map(idOf)),
  ];
}

/** The deadline at which it is given up. */
export function giveUpOf(
  activation: Pick<LoadedActivation, "id" | "captureBefore" | "presumedUntil">,
): Deadline[] {
  const windows = windowsOf(activation);
  return windows === null ? [] : [{ subjectId: activation.id, dueAt: new Date(windows.giveUpAtMs) }];
}

function retryOf({ id, state, retryAt }: LoadedActivation): Deadline[] {
  return state === "RetryQueue" && retryAt !== null ? [{ subjectId: id, dueAt: retryAt }] : [];
}

function idOf({ id }: LoadedActivation): string {
  return id;
}
