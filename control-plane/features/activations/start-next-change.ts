import { sql } from "kysely";
import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { moveActivations } from "../../lifecycle/move-activations.ts";
import {
  type HoldWindows,
  mayStillApply,
  planHoldWindows,
  planPresumedWindows,
} from "../../rules/hold-windows.ts";
import type { Transaction } from "../../store/database.ts";
import { type LoadedActivation, loadActivations } from "./load-facts.ts";
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
  await startNextChanges(context, ports, tx, [vehicleId]);
}

/** The same for many cars, whose locks it takes first. */
export async function startNextChanges(
  context: Context,
  ports: { manifests: ManifestEngine },
  tx: Transaction,
  vehicleIds: readonly string[],
): Promise<void> {
  const free = await ports.manifests.listFree(tx, vehicleIds);
  if (free.length === 0) return;
  const now = context.clock.now();
  const next = await tx
    .selectFrom("activations")
    .distinctOn("vehicle_id")
    .select("id")
    .where(sql<boolean>`vehicle_id = any(${free}::uuid[])`)
    .where("state", "in", ["OTAQueue", "RetryQueue"])
    .where((where) => where.or([where("state", "=", "OTAQueue"), where("retry_at", "<=", now)]))
    .orderBy("vehicle_id")
    .orderBy("queued_at")
    .execute();
  const loaded = await loadActivations(
    tx,
    next.map(({ id }) => id),
  );
  const attempts = loaded.flatMap((activation) => {
    const windows = windowsOf(activation);
    const { entitlementId, facts } = activation;
    if (entitlementId === null || windows === null)
      throw new Error(`activation ${activation.id} waits without a hold`);
    // Too late for the car to commit it in time: the deadline that gives it up is near and will do so.
    if (!mayStillApply(windows, now.getTime())) return [];
    return [{ activation, entitlementId, windows, attempt: facts.attemptsUsed + 1 }];
  });
  const started = await moveActivations(
    context,
    tx,
    attempts.map(({ activation, attempt }) => ({
      activation,
      moves: [
        {
          event: activation.state === "RetryQueue" ? ("retryStarted" as const) : ("attemptStarted" as const),
          actor: system,
          facts: activation.facts,
          set: { attempts_used: attempt, retry_at: null },
          detail: { attempt },
        },
      ],
    })),
  );
  const changes = attempts.flatMap(({ activation, entitlementId, windows, attempt }, index) => {
    const refused = started[index]?.refused ?? null;
    if (refused !== null) {
      // The car was resold or left service while it waited: the deadline of its hold ends it.
      context.logger.warn({ activationId: activation.id, rule: refused.rule }, refused.message);
      return [];
    }
    return [
      {
        vehicleId: activation.vehicleId,
        activationId: activation.id,
        attempt,
        entitlementId,
        applyBefore: new Date(windows.applyBeforeMs),
      },
    ];
  });
  await ports.manifests.carryMany(tx, changes);
}

function windowsOf({ captureBefore, presumedUntil }: LoadedActivation): HoldWindows | null {
  if (presumedUntil !== null) return planPresumedWindows(presumedUntil.getTime());
  return captureBefore === null ? null : planHoldWindows(captureBefore.getTime());
}
