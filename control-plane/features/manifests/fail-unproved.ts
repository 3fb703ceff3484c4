import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { setTimers } from "../../store/timers.ts";
import { forgetDispatch, writeVersion } from "./change-manifest.ts";
import type { EntitlementSource } from "./entitlement-source.ts";
import type { LinkRow } from "./link-row.ts";

export type Failure = {
  reason: string;
  failureClass: "transient" | "permanent";
  detail: string;
  /** The car's signed report, where it said so itself. */
  report: string | null;
};

/** When the plan's own configuration failed: tried again after a while, with support told the first time. */
export const planRetryTimer = "planRetry";
export const planRetryMs = 5 * 60 * 1_000;

/**
 * Ends the unproved change of a car as failed: counts it against the attempt that carried it, writes a version
 * without it (during backoff the entry is in no manifest), and says so.
 */
export async function failUnproved(
  engine: { context: Context; entitlements: EntitlementSource },
  tx: Transaction,
  link: LinkRow,
  failure: Failure,
): Promise<void> {
  const { context, entitlements } = engine;
  const { vehicle_id: vehicleId, unproved_version: version, unproved_activation_id: activationId } = link;
  if (version === null) return;
  const now = context.clock.now();
  await tx
    .updateTable("attempts")
    .set({
      result: "failed",
      ended_at: now,
      reason: failure.reason,
      failure_class: failure.failureClass,
      report: failure.report,
    })
    .where("vehicle_id", "=", vehicleId)
    .where("version", "=", version)
    .execute();
  // A car that said so itself has left the version; from a silent one it has to be taken back.
  if (failure.report !== null) await forgetDispatch(tx, vehicleId);
  const entries = await entitlements.listEntries(tx, vehicleId, null);
  await writeVersion(context, tx, link, entries, null);
  if (activationId === null) {
    await setTimers(tx, planRetryTimer, [
      { subjectId: vehicleId, dueAt: new Date(now.getTime() + planRetryMs) },
    ]);
    await context.publish(tx, "taskNeeded", [
      {
        kind: "planNotApplied",
        detail: { version, reason: failure.reason, said: failure.detail },
        subject: { vehicleId },
      },
    ]);
  } else {
    await context.publish(tx, "attemptFailed", [
      {
        activationId,
        vehicleId,
        version,
        reason: failure.reason,
        failureClass: failure.failureClass,
      },
    ]);
  }
  await context.publish(tx, "changePossible", [{ vehicleId }]);
}
