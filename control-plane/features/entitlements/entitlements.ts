import type { ManifestEntry } from "@caas/contract/manifest.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { setTimer, type TimerHandler } from "../../store/timers.ts";
import { type EntitlementsOfMany, entitlementsOfMany } from "./entitlements-of-many.ts";
import { grantPlan } from "./grant-plan.ts";
import { toEntry, withoutReplaced } from "./manifest-entry.ts";
import type { UnprovedChange, Wanted } from "./wanted.ts";

// An entitlement is what a car may hold and for how long: wanted → proved → ending → ended. It outlives the
// activation that asked for it: term end and withdrawal act on it.

export const entitlementTimer = "entitlementEnds";

export type Entitlements = {
  want(tx: Transaction, wanted: Wanted): Promise<string>;
  /** The plan comercial's base and options; how many. */
  grantPlan(tx: Transaction, vehicleId: string): Promise<number>;
  /** What the car must hold: everything proved, plus the unproved change that is under way, if any. */
  listEntries(tx: Transaction, vehicleId: string, unproved: UnprovedChange | null): Promise<ManifestEntry[]>;
  /** The car has proved it: the term begins where the car says it did. */
  prove(tx: Transaction, entitlementId: string, appliedAt: Date): Promise<void>;
  provePlan(tx: Transaction, vehicleId: string, appliedAt: Date): Promise<void>;
  /** Taken back while it runs: the next manifest leaves it out, and it ends when the car no longer holds it. */
  withdraw(tx: Transaction, entitlementId: string, reason: string): Promise<void>;
  /** Never delivered: it ends without having been. */
  abandon(tx: Transaction, entitlementId: string, reason: string): Promise<void>;
  /** The car holds no trace of what was ending. */
  finishEnding(tx: Transaction, vehicleId: string): Promise<number>;
} & EntitlementsOfMany & {
    timers: readonly TimerHandler[];
  };

/** @param withdraw makes a new manifest for the car after an entitlement began to end */
export function createEntitlements(
  context: Context,
  withdraw: (tx: Transaction, vehicleId: string) => Promise<void>,
): Entitlements {
  const ofMany = entitlementsOfMany(context);

  async function end(tx: Transaction, id: string, reason: string): Promise<void> {
    await tx
      .updateTable("entitlements")
      .set({ state: "ended", end_reason: reason, ended_at: context.clock.now() })
      .where("id", "=", id)
      .where("state", "<>", "ended")
      .execute();
  }

  async function beginEnding(tx: Transaction, id: string, reason: string): Promise<void> {
    // The car's lock first, as for reports, which change the same rows after it.
    await tx
      .selectFrom("vehicle_links")
      .select("vehicle_id")
      .where("vehicle_id", "in", (query) =>
        query.selectFrom("entitlements").select("vehicle_id").where("id", "=", id),
      )
      .forUpdate()
      .execute();
    const row = await tx
      .updateTable("entitlements")
      .set({ state: "ending", end_reason: reason })
      .where("id", "=", id)
      .where("state", "=", "proved")
      .returning("vehicle_id")
      .executeTakeFirst();
    if (row !== undefined) await withdraw(tx, row.vehicle_id);
  }

  async function markProved(
    tx: Transaction,
    row: { id: string; duration_seconds: number | null },
    appliedAt: Date,
  ): Promise<void> {
    const validUntil =
      row.duration_seconds === null ? null : new Date(appliedAt.getTime() + row.duration_seconds * 1_000);
    await tx
      .updateTable("entitlements")
      .set({ state: "proved", proved_at: context.clock.now(), valid_until: validUntil })
      .where("id", "=", row.id)
      .where("state", "=", "wanted")
      .execute();
    if (validUntil !== null) await setTimer(tx, entitlementTimer, row.id, validUntil);
  }

  return {
    async want(tx, wanted) {
      const id = newId();
      await tx
        .insertInto("entitlements")
        .values({
          id,
          vehicle_id: wanted.vehicleId,
          source: wanted.source,
          code: wanted.code,
          configuration: JSON.stringify(wanted.configuration),
          duration_seconds: wanted.durationSeconds,
          state: "wanted",
          created_at: context.clock.now(),
        })
        .execute();
      return id;
    },

    async grantPlan(tx, vehicleId) {
      return grantPlan(tx, vehicleId, (wanted) => this.want(tx, wanted));
    },

    async listEntries(tx, vehicleId, unproved) {
      const rows = await tx
        .selectFrom("entitlements")
        .selectAll()
        .where("vehicle_id", "=", vehicleId)
        .where("ended_at", "is", null)
        .where("state", "in", ["wanted", "proved"])
        .orderBy("id")
        .execute();
      const held = rows.filter(
        (row) =>
          row.state === "proved" ||
          (unproved?.kind === "plan" && row.source === "plan") ||
          (unproved?.kind === "service" && unproved.entitlementId === row.id),
      );
      return withoutReplaced(held).map((row) => toEntry(row, unproved));
    },

    async prove(tx, entitlementId, appliedAt) {
      const row = await tx
        .selectFrom("entitlements")
        .select(["id", "duration_seconds"])
        .where("id", "=", entitlementId)
        .executeTakeFirstOrThrow();
      await markProved(tx, row, appliedAt);
    },

    // Nothing of a plan has a term, so there is nothing to begin where the car says it did.
    provePlan: (tx, vehicleId) => ofMany.provePlans(tx, [vehicleId]),

    withdraw: beginEnding,
    abandon: end,

    async finishEnding(tx, vehicleId) {
      const rows = await tx
        .updateTable("entitlements")
        .set({ state: "ended", ended_at: context.clock.now() })
        .where("vehicle_id", "=", vehicleId)
        .where("ended_at", "is", null)
        .where("state", "=", "ending")
        .returning("id")
        .execute();
      return rows.length;
    },

    ...ofMany,

    timers: [
      {
        kind: entitlementTimer,
        due: (tx, id) => beginEnding(tx, id, "termEnded"),
      },
    ],
  };
}
