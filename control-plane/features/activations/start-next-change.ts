import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { moveActivation } from "../../lifecycle/move-activation.ts";
import {
  type HoldWindows,
  mayStillApply,
  planHoldWindows,
  planPresumedWindows,
} from "../../rules/hold-windows.ts";
import type { Transaction } from "../../store/database.ts";
import { type LoadedActivation, loadActivation } from "./load-facts.ts";
import type { ManifestEngine } from "./ports.ts";

/**
 * Begins the next attempt of a car, if its manifest can take one: the oldest activation that waits in OTAQueue,
 * or whose backoff in RetryQueue is over. A car that is offline keeps them waiting, and that is no attempt.
 */
export async function startNextChange(
  context: Context,
  ports: { manifests: ManifestEngine },
  tx: Transaction,
  vehicleId: string,
): Promise<void> {
  if ((await ports.manifests.mayCarry(tx, vehicleId)) === "waiting") return;
  const now = context.clock.now();
  const next = await tx
    .selectFrom("activations")
    .select(["id", "state"])
    .where("vehicle_id", "=", vehicleId)
    .where((where) =>
      where.or([
        where("state", "=", "OTAQueue"),
        where.and([where("state", "=", "RetryQueue"), where("retry_at", "<=", now)]),
      ]),
    )
    .orderBy("queued_at")
    .limit(1)
    .executeTakeFirst();
  if (next === undefined) return;
  const loaded = await loadActivation(tx, next.id);
  const windows = windowsOf(loaded);
  if (loaded.entitlementId === null || windows === null)
    throw new Error(`activation ${next.id} waits without a hold`);
  // Too late for the car to commit it in time: the deadline that gives it up is near and will do so.
  if (!mayStillApply(windows, now.getTime())) return;
  const attempt = loaded.facts.attemptsUsed + 1;
  const started = await moveActivation(context, tx, {
    activationId: loaded.id,
    event: loaded.state === "RetryQueue" ? "retryStarted" : "attemptStarted",
    actor: system,
    facts: loaded.facts,
    set: { attempts_used: attempt, retry_at: null },
    detail: { attempt },
  });
  if (started.kind === "refused") {
    // The car was resold or left service while it waited: the deadline of its hold ends it.
    context.logger.warn({ activationId: loaded.id, rule: started.rule }, started.message);
    return;
  }
  await ports.manifests.carry(tx, {
    vehicleId,
    activationId: loaded.id,
    attempt,
    entitlementId: loaded.entitlementId,
    applyBefore: new Date(windows.applyBeforeMs),
  });
}

function windowsOf({ captureBefore, presumedUntil }: LoadedActivation): HoldWindows | null {
  if (presumedUntil !== null) return planPresumedWindows(presumedUntil.getTime());
  return captureBefore === null ? null : planHoldWindows(captureBefore.getTime());
}
