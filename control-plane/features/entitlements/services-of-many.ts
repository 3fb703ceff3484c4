import type { ManifestEntry } from "@caas/contract/manifest.ts";
import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { setTimers } from "../../store/timers.ts";
import { toEntry, withoutReplaced } from "./manifest-entry.ts";
import type { Wanted } from "./wanted.ts";

// Services bought in many cars at one time: the same decisions as for one, a statement each.

/** One service as the unproved change of its car. */
export type UnprovedService = { vehicleId: string; entitlementId: string; applyBefore: Date };

export type ServicesOfMany = {
  /** Their ids, in the same order. */
  wantMany(tx: Transaction, wanted: readonly Wanted[]): Promise<string[]>;
  /** What each car must hold: everything proved, and its one unproved service. By vehicle. */
  listEntriesWith(
    tx: Transaction,
    changes: readonly UnprovedService[],
  ): Promise<Map<string, ManifestEntry[]>>;
  /** The cars have proved them: each term begins where its car says it did. */
  proveMany(tx: Transaction, proved: readonly { entitlementId: string; appliedAt: Date }[]): Promise<void>;
};

export function servicesOfMany(context: Context, timer: string): ServicesOfMany {
  return {
    async wantMany(tx, wanted) {
      const ids = wanted.map(() => newId());
      await sql`
        insert into entitlements (id, vehicle_id, source, code, configuration, duration_seconds, state, created_at)
        select id, vehicle_id, source, code, configuration, duration_seconds, 'wanted', ${context.clock.now()}
        from unnest(${ids}::uuid[], ${wanted.map(({ vehicleId }) => vehicleId)}::uuid[],
                    ${wanted.map(({ source }) => source)}::text[], ${wanted.map(({ code }) => code)}::text[],
                    ${wanted.map(({ configuration }) => JSON.stringify(configuration))}::jsonb[],
                    ${wanted.map(({ durationSeconds }) => durationSeconds)}::int[])
          as next (id, vehicle_id, source, code, configuration, duration_seconds)`.execute(tx);
      return ids;
    },

    async listEntriesWith(tx, changes) {
      const unproved = new Map(changes.map((change) => [change.vehicleId, change]));
      const rows = await tx
        .selectFrom("entitlements")
        .selectAll()
        .where(sql<boolean>`vehicle_id = any(${[...unproved.keys()]}::uuid[])`)
        .where("ended_at", "is", null)
        .where("state", "in", ["wanted", "proved"])
        .orderBy("id")
        .execute();
      const entries = new Map<string, ManifestEntry[]>();
      for (const [vehicleId, ofCar] of Map.groupBy(rows, (row) => row.vehicle_id)) {
        const change = unproved.get(vehicleId);
        if (change === undefined) continue;
        const held = ofCar.filter((row) => row.state === "proved" || row.id === change.entitlementId);
        entries.set(
          vehicleId,
          withoutReplaced(held).map((row) => toEntry(row, { kind: "service", ...change })),
        );
      }
      return entries;
    },

    async proveMany(tx, proved) {
      if (proved.length === 0) return;
      const { rows } = await sql<{ id: string; valid_until: Date | null }>`
        update entitlements as entitlement
        set state = 'proved', proved_at = ${context.clock.now()},
            valid_until = said.applied_at + make_interval(secs => entitlement.duration_seconds)
        from unnest(${proved.map(({ entitlementId }) => entitlementId)}::uuid[],
                    ${proved.map(({ appliedAt }) => appliedAt)}::timestamptz[]) as said (id, applied_at)
        where entitlement.id = said.id and entitlement.state = 'wanted'
        returning entitlement.id, entitlement.valid_until`.execute(tx);
      await setTimers(
        tx,
        timer,
        rows.flatMap(({ id, valid_until: dueAt }) => (dueAt === null ? [] : [{ subjectId: id, dueAt }])),
      );
    },
  };
}
