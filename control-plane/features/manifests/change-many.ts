import { type ManifestEntry, manifestHash } from "@caas/contract/manifest.ts";
import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
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
  const links = await tx
    .selectFrom("vehicle_links")
    .select(["vehicle_id", "manifest_version", "active_version", "unproved_version", "proof_public_key"])
    .where("vehicle_id", "in", vehicleIds)
    .orderBy("vin")
    .forUpdate()
    .execute();
  const free = links.filter((link) => link.unproved_version === null && link.proof_public_key !== null);
  const freeIds = free.map((link) => link.vehicle_id);
  const carried = new Set(freeIds);
  const waiting = vehicleIds.filter((id) => !carried.has(id));
  if (free.length === 0) return { carried: 0, waiting };

  await entitlements.wantForMany(tx, freeIds, step);
  const entriesOf = await entitlements.listEntriesOfMany(tx, freeIds);
  const entries = free.map((link): ManifestEntry[] => entriesOf.get(link.vehicle_id) ?? []);
  const versions = free.map((link) => Math.max(link.manifest_version, link.active_version) + 1);
  const hashes = entries.map((list) => manifestHash(list));
  const now = context.clock.now();
  await sql`
    insert into manifests (vehicle_id, version, hash, entries, created_at)
    select vehicle_id, version, hash, entries::jsonb, ${now}
    from unnest(${freeIds}::uuid[], ${versions}::int[], ${hashes}::text[],
                ${entries.map((list) => JSON.stringify(list))}::text[]) as next (vehicle_id, version, hash, entries)
  `.execute(tx);
  await sql`
    update vehicle_links as link
    set manifest_version = next.version, manifest_hash = next.hash,
        unproved_version = next.version, unproved_activation_id = null
    from unnest(${freeIds}::uuid[], ${versions}::int[], ${hashes}::text[]) as next (vehicle_id, version, hash)
    where link.vehicle_id = next.vehicle_id`.execute(tx);
  await sql`
    insert into manifest_dispatches (vehicle_id, due_at, sends)
    select vehicle_id, ${now}, 0 from unnest(${freeIds}::uuid[]) as next (vehicle_id)
    on conflict (vehicle_id) do update set due_at = excluded.due_at, sends = 0, first_sent_at = null`.execute(
    tx,
  );
  await sql`select pg_notify(${dispatchChannel}, '')`.execute(tx);
  return { carried: free.length, waiting };
}
