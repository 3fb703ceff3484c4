import type { Outcome, Report } from "@caas/contract/report.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { Context } from "../../lifecycle/context.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import type { Transaction } from "../../store/database.ts";
import { forgetDispatch, requestDispatch, writeVersion } from "./change-manifest.ts";
import type { EntitlementSource } from "./entitlement-source.ts";
import { failUnproved } from "./fail-unproved.ts";
import type { LinkRow } from "./link-row.ts";
import { keepPlanProofs } from "./plan-proofs.ts";

/** What a report changed, for metrics. */
export type Ingested =
  | { kind: "unknownCar" }
  /** An older or repeated sequence number: no effect. */
  | { kind: "repeated" }
  | { kind: "taken"; proved: boolean; failed: string | null; converged: boolean };

export type Received = { vin: Vin; report: Report; token: string };

export type Engine = { context: Context; entitlements: EntitlementSource; keySetVersion: number };

/** A staged version that waits for the car to be parked or charged is asked about again after this. */
const deferralPatienceMs = 60 * 60 * 1_000;

/** Takes in one verified report under the car's lock. */
export async function ingestReport(engine: Engine, tx: Transaction, received: Received): Promise<Ingested> {
  const { report } = received;
  const row = await tx
    .selectFrom("vehicle_links")
    .selectAll()
    .where("vin", "=", received.vin)
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined) return { kind: "unknownCar" };
  if (report.seq <= row.report_seq) return { kind: "repeated" };
  const said = {
    report_seq: report.seq,
    active_version: report.active.version,
    active_hash: report.active.hash,
    key_set_version: report.keySetVersion,
  };
  await tx.updateTable("vehicle_links").set(said).where("vehicle_id", "=", row.vehicle_id).execute();
  const link: LinkRow = { ...row, ...said };

  let proved = false;
  let failed: string | null = null;
  const { outcome } = report;
  if (outcome !== null && outcome.version === link.unproved_version) {
    if (outcome.result === "failed") {
      failed = outcome.reason;
      await failUnproved(engine, tx, link, {
        reason: outcome.reason,
        failureClass: outcome.failureClass,
        detail: outcome.detail,
        report: received.token,
      });
    } else {
      proved = await proveVersion(engine, tx, link, outcome, received);
    }
  }
  const converged = await converge(engine, tx, link.vehicle_id, report);
  return { kind: "taken", proved, failed, converged };
}

/** The car says it applied the version that carries the unproved change: believed if it means the same content. */
async function proveVersion(
  engine: Engine,
  tx: Transaction,
  link: LinkRow,
  outcome: Extract<Outcome, { result: "applied" }>,
  received: Received,
): Promise<boolean> {
  const { context, entitlements } = engine;
  if (outcome.hash !== link.manifest_hash) return false;
  const { vehicle_id: vehicleId, unproved_activation_id: activationId } = link;
  const appliedAt = new Date(outcome.appliedAt);
  await tx
    .updateTable("vehicle_links")
    .set({ unproved_version: null, unproved_activation_id: null })
    .where("vehicle_id", "=", vehicleId)
    .execute();
  if (activationId === null) {
    await entitlements.provePlan(tx, vehicleId, appliedAt);
    await keepPlanProofs(tx, [{ link, version: outcome.version, received }]);
    await recordSteps(tx, [
      {
        vehicleId,
        event: "planApplied",
        automation: null,
        actor: { kind: "vehicle", id: vehicleId },
        at: context.clock.now(),
        detail: { version: outcome.version },
      },
    ]);
  } else {
    await tx
      .updateTable("attempts")
      .set({ result: "applied", ended_at: context.clock.now(), report: received.token })
      .where("vehicle_id", "=", vehicleId)
      .where("version", "=", outcome.version)
      .execute();
    await context.publish(tx, "attemptApplied", [
      {
        activationId,
        vehicleId,
        version: outcome.version,
        appliedAt,
      },
    ]);
  }
  await context.publish(tx, "changePossible", [{ vehicleId }]);
  return true;
}

/** Whether the car holds what it should; if not, the newest version is sent again. */
async function converge(
  engine: Engine,
  tx: Transaction,
  vehicleId: string,
  report: Report,
): Promise<boolean> {
  const { context, entitlements } = engine;
  const link = await tx
    .selectFrom("vehicle_links")
    .selectAll()
    .where("vehicle_id", "=", vehicleId)
    .executeTakeFirstOrThrow();
  if (report.active.version > link.manifest_version) {
    // The car remembers more than we do (a restored back-up): allocate above it.
    await writeVersion(context, tx, link, await entitlements.listEntries(tx, vehicleId, null), null);
    return false;
  }
  if (link.active_hash === link.manifest_hash && link.unproved_version === null) {
    await forgetDispatch(tx, vehicleId);
    await entitlements.finishEnding(tx, vehicleId);
    return true;
  }
  if (report.deferred?.version === link.manifest_version) {
    await requestDispatch(tx, vehicleId, new Date(context.clock.now().getTime() + deferralPatienceMs));
    return false;
  }
  // What was already sent for this version is not sent again merely because the car spoke of something else;
  // a car that lacks our key set, or that nothing is on the way to, gets it now.
  const waiting = await tx
    .selectFrom("manifest_dispatches")
    .select("sends")
    .where("vehicle_id", "=", vehicleId)
    .executeTakeFirst();
  if (waiting === undefined || (waiting.sends > 0 && link.key_set_version < engine.keySetVersion))
    await requestDispatch(tx, vehicleId, context.clock.now());
  return false;
}
