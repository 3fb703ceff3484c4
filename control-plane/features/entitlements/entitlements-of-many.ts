import type { ManifestEntry } from "@caas/contract/manifest.ts";
import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { toEntry } from "./manifest-entry.ts";

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
};

export function entitlementsOfMany(context: Context): EntitlementsOfMany {
  return {
    async wantForMany(tx, vehicleIds, wanted) {
      // What it replaces leaves with the same version.
      await tx
        .updateTable("entitlements")
        .set({ state: "ending", end_reason: "replaced" })
        .where("vehicle_id", "in", vehicleIds)
        .where("source", "=", "plan")
        .where("code", "=", wanted.code)
        .where("state", "in", ["wanted", "proved"])
        .execute();
      await sql`
        insert into entitlements (id, vehicle_id, source, code, configuration, state, created_at)
        select id, vehicle_id, 'plan', ${wanted.code}, ${JSON.stringify(wanted.configuration)}::jsonb, 'wanted',
               ${context.clock.now()}
        from unnest(${vehicleIds.map(() => newId())}::uuid[], ${[...vehicleIds]}::uuid[]) as next (id, vehicle_id)
      `.execute(tx);
    },

    async listEntriesOfMany(tx, vehicleIds) {
      const rows = await tx
        .selectFrom("entitlements")
        .selectAll()
        .where("vehicle_id", "in", vehicleIds)
        .where((where) =>
          where.or([
            where("state", "=", "proved"),
            where.and([where("state", "=", "wanted"), where("source", "=", "plan")]),
          ]),
        )
        .orderBy("id")
        .execute();
      const entries = new Map<string, ManifestEntry[]>();
      for (const row of rows) {
        const list = entries.get(row.vehicle_id) ?? [];
        list.push(toEntry(row, { kind: "plan" }));
        entries.set(row.vehicle_id, list);
      }
      return entries;
    },

    async provePlans(tx, vehicleIds) {
      await tx
        .updateTable("entitlements")
        .set({ state: "proved", proved_at: context.clock.now() })
        .where("vehicle_id", "in", vehicleIds)
        .where("source", "=", "plan")
        .where("state", "=", "wanted")
        .execute();
    },

    async finishEndings(tx, vehicleIds) {
      await tx
        .updateTable("entitlements")
        .set({ state: "ended", ended_at: context.clock.now() })
        .where("vehicle_id", "in", vehicleIds)
        .where("state", "=", "ending")
        .execute();
    },
  };
}
