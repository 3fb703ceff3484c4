import type { ManifestEntry } from "@caas/contract/manifest.ts";
import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { plainArray } from "../../store/plain-array.ts";
import { toEntry, withoutReplaced } from "./manifest-entry.ts";

// The same decisions as for one car, for thousands in one statement.

export type EntitlementsOfMany = {
  /** One more thing for the life of each car, as part of what it was sold with: the step of a roll-out. */
  wantForMany(
    tx: Transaction,
    vehicleIds: readonly string[],
    wanted: { code: string; configuration: { readonly [key: string]: unknown } },
  ): Promise<void>;
  listEntriesOfMany(tx: Transaction, vehicleIds: readonly string[]): Promise<Map<string, ManifestEntry[]>>;
  provePlans(tx: Transaction, vehicleIds: readonly string[]): Promise<void>;
  finishEndings(tx: Transaction, vehicleIds: readonly string[]): Promise<void>;
  /** Both at once: `holding` hold exactly what they should, and those of `proved` among them have just proved it. */
  settleMany(tx: Transaction, cars: { holding: readonly string[]; proved: readonly string[] }): Promise<void>;
};

/** By the index, which knows only what has not ended. */
function isHeldBy(vehicleIds: readonly string[]) {
  return sql<boolean>`vehicle_id = any(${plainArray(vehicleIds)}::uuid[]) and ended_at is null`;
}

export function entitlementsOfMany(context: Context): EntitlementsOfMany {
  return {
    async wantForMany(tx, vehicleIds, wanted) {
      // One that was never proved is given up; one that is stands until its successor is proved.
      await tx
        .updateTable("entitlements")
        .set({ state: "ended", end_reason: "replaced", ended_at: context.clock.now() })
        .where(isHeldBy(vehicleIds))
        .where("source", "=", "plan")
        .where("code", "=", wanted.code)
        .where("state", "=", "wanted")
        .execute();
      await sql`
        insert into entitlements (id, vehicle_id, source, code, configuration, state, created_at)
        select id, vehicle_id, 'plan', ${wanted.code}, ${JSON.stringify(wanted.configuration)}::jsonb, 'wanted',
               ${context.clock.now()}
        from unnest(${plainArray(vehicleIds.map(() => newId()))}::uuid[], ${plainArray(vehicleIds)}::uuid[]) as next (id, vehicle_id)
      `.execute(tx);
    },

    async listEntriesOfMany(tx, vehicleIds) {
      const rows = await tx
        .selectFrom("entitlements")
        .selectAll()
        .where(isHeldBy(vehicleIds))
        .where((where) =>
          where.or([
            where("state", "=", "proved"),
            where.and([where("state", "=", "wanted"), where("source", "=", "plan")]),
          ]),
        )
        .orderBy("id")
        .execute();
      const entries = new Map<string, ManifestEntry[]>();
      for (const [vehicleId, ofCar] of Map.groupBy(rows, (row) => row.vehicle_id))
        entries.set(
          vehicleId,
          withoutReplaced(ofCar).map((row) => toEntry(row, { kind: "plan" })),
        );
      return entries;
    },

    provePlans: (tx, proved) => settle(tx, { holding: [], proved }),
    finishEndings: (tx, holding) => settle(tx, { holding, proved: [] }),
    settleMany: settle,
  };

  async function settle(
    tx: Transaction,
    { holding, proved }: { holding: readonly string[]; proved: readonly string[] },
  ): Promise<void> {
    const now = context.clock.now();
    // What a car has applied takes the place of what it held under the same code.
    await sql`
      with finished as (
        update entitlements set state = 'ended', ended_at = ${now}
        where ${isHeldBy(holding)} and state = 'ending'
      ), proved as (
        update entitlements set state = 'proved', proved_at = ${now}
        where ${isHeldBy(proved)} and source = 'plan' and state = 'wanted'
        returning id, vehicle_id, code
      )
      update entitlements as former set state = 'ended', end_reason = 'replaced', ended_at = ${now}
      from proved
      where former.vehicle_id = proved.vehicle_id and former.ended_at is null and former.code = proved.code
        and former.id <> proved.id and former.source = 'plan' and former.state = 'proved'`.execute(tx);
  }
}
