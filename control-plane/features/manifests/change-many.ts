import { type ManifestEntry, manifestHash } from "@caas/contract/manifest.ts";
import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { plainArray } from "../../store/plain-array.ts";
import { dispatchChannel } from "./change-manifest.ts";
import type { EntitlementSource, RollOutStep } from "./entitlement-source.ts";

export type ChangedMany = {
  /** Cars whose next version carries the change. */
  carried: number;
  /** Cars with another change under way, or without an identity: left as they are, the caller asks again for them. */
  waiting: string[];
};

/**
 * One step of a roll-out for many cars at once: each car's entitlement and its next version, as its one unproved
 * change. The cars' locks come first, as they do for reports. Offline cars get it when they come.
 *
 * @param vehicleIds at most some thousands: one transaction holds all their locks
 */
export async function changeMany(
  context: Context,
  entitlements: EntitlementSource,
  tx: Transaction,
  vehicleIds: readonly string[],
  step: RollOutStep,
): Promise<ChangedMany> {
  if (vehicleIds.length === 0) return { carried: 0, waiting: [] };
  const { rows: links } = await sql<{
    vehicle_id: string;
    former: number;
    version: number;
    is_free: boolean;
  }>`
    select vehicle_id, manifest_version as former, greatest(manifest_version, active_version) + 1 as version,
           unproved_version is null and proof_public_key is not null as is_free
    from vehicle_links where vehicle_id = any(${plainArray(vehicleIds)}::uuid[]) order by vin for update`.execute(
    tx,
  );
  const free = links.filter((link) => link.is_free);
  const freeIds = free.map((link) => link.vehicle_id);
  const carried = new Set(freeIds);
  const waiting = vehicleIds.filter((id) => !carried.has(id));
  if (free.length === 0) return { carried: 0, waiting };

  await entitlements.wantForMany(tx, freeIds, step);
  const entriesOf = await entitlements.listEntriesOfMany(tx, freeIds);
  const entries = free.map((link): ManifestEntry[] => entriesOf.get(link.vehicle_id) ?? []);
  const now = context.clock.now();
  // A former version stays only when it carried a purchase; the row of another is written over in its place.
  await sql`
    with next as materialized (
      select * from unnest(${plainArray(freeIds)}::uuid[], ${plainArray(free.map((link) => link.former))}::int[],
                           ${plainArray(free.map((link) => link.version))}::int[],
                           ${plainArray(entries.map((list) => manifestHash(list)))}::text[],
                           ${entries.map((list) => JSON.stringify(list))}::text[])
        as next (vehicle_id, former, version, hash, entries)
    ), linked as (
      update vehicle_links as link
      set manifest_version = next.version, manifest_hash = next.hash,
          unproved_version = next.version, unproved_activation_id = null
      from next where link.vehicle_id = next.vehicle_id
    ), rewritten as (
      update manifests as manifest
      set version = next.version, hash = next.hash, entries = next.entries::jsonb, created_at = ${now}
      from next
      where manifest.vehicle_id = next.vehicle_id and manifest.version = next.former
        and manifest.activation_id is null
      returning manifest.vehicle_id
    ), written as (
      insert into manifests (vehicle_id, version, hash, entries, created_at)
      select vehicle_id, version, hash, entries::jsonb, ${now} from next
      where vehicle_id not in (select vehicle_id from rewritten)
    ), rung as (
      insert into manifest_dispatches (vehicle_id, due_at, sends)
      select vehicle_id, ${now}, 0 from next
      on conflict (vehicle_id) do update set due_at = excluded.due_at, sends = 0, first_sent_at = null
    )
    select pg_notify(${dispatchChannel}, '')`.execute(tx);
  return { carried: free.length, waiting };
}
