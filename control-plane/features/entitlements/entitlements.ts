import type { ManifestEntry } from "@caas/contract/manifest.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import type { TimerHandler } from "../../store/timers.ts";
import { type EntitlementsOfMany, entitlementsOfMany } from "./entitlements-of-many.ts";
import { grantPlan } from "./grant-plan.ts";
import { toEntry, withoutReplaced } from "./manifest-entry.ts";
import { type ServicesOfMany, servicesOfMany } from "./services-of-many.ts";
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
  provePlan(tx: Transaction, vehicleId: string, appliedAt: Date): Promise<void>;
  /** Taken back while it runs: the next manifest leaves it out, and it ends when the car no longer holds it. */
  withdraw(tx: Transaction, entitlementId: string, reason: string): Promise<void>;
  /** Never delivered: it ends without having been. */
  abandon(tx: Transaction, entitlementId: string, reason: string): Promise<void>;
  /** The car holds no trace of what was ending. */
  finishEnding(tx: Transaction, vehicleId: string): Promise<number>;
} & EntitlementsOfMany &
  ServicesOfMany & {
    timers: readonly TimerHandler[];
  };

/** @param withdraw makes a new manifest for the car after an entitlement began to end */
export function createEntitlements(
  context: Context,
  withdraw: (tx: Transaction, vehicleId: string) => Promise<void>,
): Entitlements {
  const ofMany = entitlementsOfMany(context);
  const ofServices = servicesOfMany(context, entitlementTimer);

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

  return {
    async want(tx, wanted) {
      const [id] = await ofServices.wantMany(tx, [wanted]);
      if (id === undefined) throw new Error("an entitlement just wanted has no id");
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
    ...ofServices,

    timers: [
      {
        kind: entitlementTimer,
        due: (tx, id) => beginEnding(tx, id, "termEnded"),
      },
    ],
  };
}
