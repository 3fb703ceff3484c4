import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { setTimers, type TimerHandler } from "../../store/timers.ts";
import { carryServices, listFree, lockCars, type ServiceChange } from "./carry-services.ts";
import { forgetDispatch, writeVersion } from "./change-manifest.ts";
import { type ChangedMany, changeMany } from "./change-many.ts";
import { type Due, resendAfterMs, takeDue } from "./due-dispatches.ts";
import type { EntitlementSource, RollOutStep, UnprovedChange } from "./entitlement-source.ts";
import { failUnproved, planRetryMs, planRetryTimer } from "./fail-unproved.ts";
import type { Ingested, Received } from "./ingest-report.ts";
import { ingestReports } from "./ingest-reports.ts";
import { type LinkRow, lockLink } from "./link-row.ts";
import { forgetPresences, recordPresences, type SaidPresence } from "./record-presences.ts";

export type Carried =
  | { kind: "carried"; version: number }
  /** The change waits: another is unproved, or the car has no identity yet. */
  | { kind: "waiting"; reason: "changeUnderWay" | "notEnrolled" };

export type Manifests = {
  /** Puts one service into the next version of each car, as its one unproved change. All of them are free. */
  carryMany(tx: Transaction, changes: readonly ServiceChange[]): Promise<void>;
  /** Takes the car's lock: for who is about to decide something that a report may be deciding too. */
  lock(tx: Transaction, vehicleId: string): Promise<void>;
  /** The same for many, in the order that everybody takes them in. */
  lockMany(tx: Transaction, vehicleIds: readonly string[]): Promise<void>;
  /** Those whose next version could carry a change now; takes the cars' locks. */
  listFree(tx: Transaction, vehicleIds: readonly string[]): Promise<string[]>;
  carryPlan(tx: Transaction, vehicleId: string): Promise<Carried>;
  /** Takes an activation's entry out of the manifest, whether it is under way or already applied. */
  release(tx: Transaction, vehicleId: string, activationId: string): Promise<void>;
  /** A removal: it never waits, and a change under way goes on in the new version. */
  withdraw(tx: Transaction, vehicleId: string): Promise<void>;
  /** One step of a roll-out, as one unproved change of each car that has none under way. */
  changeMany(tx: Transaction, vehicleIds: readonly string[], step: RollOutStep): Promise<ChangedMany>;
  /** Takes in verified reports; each `token` is kept as the proof. Idempotent by (vehicle, seq). */
  ingest(tx: Transaction, received: readonly Received[]): Promise<Ingested[]>;
  /** Takes in what cars say of their presence; see `record-presences.ts`. */
  recordPresences(tx: Transaction, said: readonly SaidPresence[]): Promise<void>;
  /** The link to the broker broke: nobody is known to be online until they say so again. */
  forgetPresences(): Promise<void>;
  /** Claims manifests that are due to be sent, oldest first. */
  takeDue(limit: number): Promise<Due[]>;
  timers: readonly TimerHandler[];
};

export function createManifests(
  context: Context,
  options: { entitlements: () => EntitlementSource; keySetVersion: () => number },
): Manifests {
  const { entitlements, keySetVersion } = options;

  /** The entries of the change that a version in flight carries, so that a removal does not drop it. */
  async function underWay(tx: Transaction, link: LinkRow): Promise<UnprovedChange | null> {
    if (link.unproved_version === null) return null;
    if (link.unproved_activation_id === null) return { kind: "plan" };
    const row = await tx
      .selectFrom("activations")
      .innerJoin("manifests", (join) =>
        join
          .on("manifests.vehicle_id", "=", link.vehicle_id)
          .on("manifests.version", "=", link.unproved_version),
      )
      .where("activations.id", "=", link.unproved_activation_id)
      .select(["activations.entitlement_id", "manifests.entries"])
      .executeTakeFirstOrThrow();
    if (row.entitlement_id === null) return null;
    const { entitlement_id: entitlementId } = row;
    const applyBefore = applyBeforeOf(row.entries, entitlementId);
    return applyBefore === null ? null : { kind: "service", entitlementId, applyBefore };
  }

  async function rewriteWithout(tx: Transaction, link: LinkRow): Promise<void> {
    await writeVersion(context, tx, link, await entitlements().listEntries(tx, link.vehicle_id, null), null);
  }

  async function carryPlan(tx: Transaction, vehicleId: string): Promise<Carried> {
    const link = await lockLink(tx, vehicleId);
    if (link === undefined) return { kind: "waiting", reason: "notEnrolled" };
    if (link.unproved_version !== null) return { kind: "waiting", reason: "changeUnderWay" };
    const entries = await entitlements().listEntries(tx, vehicleId, { kind: "plan" });
    // An offline car gets it when it comes: nothing is charged for it, so nothing can lapse meanwhile.
    return {
      kind: "carried",
      version: await writeVersion(context, tx, link, entries, { activationId: null }),
    };
  }

  return {
    carryPlan,
    timers: [
      {
        kind: planRetryTimer,
        async due(tx, vehicleId) {
          const carried = await carryPlan(tx, vehicleId);
          if (carried.kind === "waiting")
            await setTimers(tx, planRetryTimer, [
              { subjectId: vehicleId, dueAt: new Date(context.clock.now().getTime() + planRetryMs) },
            ]);
        },
      },
    ],

    async lock(tx, vehicleId) {
      await lockLink(tx, vehicleId);
    },

    async lockMany(tx, vehicleIds) {
      await lockCars(tx, vehicleIds);
    },

    listFree,

    carryMany: (tx, changes) => carryServices(context, entitlements(), tx, changes),

    async release(tx, vehicleId, activationId) {
      const link = await lockLink(tx, vehicleId);
      if (link === undefined || link.unproved_activation_id !== activationId) return;
      await tx
        .updateTable("attempts")
        .set({ result: "superseded", ended_at: context.clock.now() })
        .where("activation_id", "=", activationId)
        .where("result", "is", null)
        .execute();
      await rewriteWithout(tx, link);
      await context.publish(tx, "changePossible", [{ vehicleId }]);
    },

    async withdraw(tx, vehicleId) {
      const link = await lockLink(tx, vehicleId);
      if (link === undefined) return;
      const change = await underWay(tx, link);
      const entries = await entitlements().listEntries(tx, vehicleId, change);
      const unproved = change === null ? null : { activationId: link.unproved_activation_id };
      const version = await writeVersion(context, tx, link, entries, unproved);
      // The attempt goes on in the version that supersedes its own: a version without a report is no attempt.
      if (link.unproved_version !== null)
        await tx
          .updateTable("attempts")
          .set({ version })
          .where("vehicle_id", "=", vehicleId)
          .where("version", "=", link.unproved_version)
          .where("result", "is", null)
          .execute();
    },

    changeMany: (tx, vehicleIds, step) => changeMany(context, entitlements(), tx, vehicleIds, step),

    ingest: (tx, received) =>
      ingestReports({ context, entitlements: entitlements(), keySetVersion: keySetVersion() }, tx, received),

    recordPresences: (tx, said) => recordPresences(context, tx, said),
    forgetPresences: () => forgetPresences(context.db),

    async takeDue(limit) {
      const due: Due[] = [];
      for (;;) {
        const asked = limit - due.length;
        const taken = await takeDue(context, asked, keySetVersion());
        for (const vehicleId of taken.silent)
          await context.db.transaction().execute((tx) => endSilence(tx, vehicleId));
        due.push(...taken.due);
        // Those whose cars are away are passed over: behind them may stand many that are online.
        if (taken.claimed < asked || due.length === limit) return due;
      }
    },
  };

  /** The car is online and answered none of the re-sends: its attempt has failed. */
  async function endSilence(tx: Transaction, vehicleId: string): Promise<void> {
    const link = await lockLink(tx, vehicleId);
    const dispatch = await tx
      .selectFrom("manifest_dispatches")
      .select("sends")
      .where("vehicle_id", "=", vehicleId)
      .executeTakeFirst();
    if (link === undefined || dispatch === undefined || dispatch.sends <= resendAfterMs.length) return;
    if (link.unproved_version === null) return forgetDispatch(tx, vehicleId);
    await failUnproved({ context, entitlements: entitlements() }, tx, link, {
      reason: "noAnswer",
      failureClass: "transient",
      detail: "the car is online and does not answer",
      report: null,
    });
  }
}

function applyBeforeOf(entries: readonly unknown[], entitlementId: string): Date | null {
  for (const entry of entries)
    if (entry !== null && typeof entry === "object" && "id" in entry && entry.id === entitlementId)
      return "applyBefore" in entry && typeof entry.applyBefore === "string"
        ? new Date(entry.applyBefore)
        : null;
  return null;
}
