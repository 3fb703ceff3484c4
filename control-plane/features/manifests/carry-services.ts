import { type ManifestEntry, manifestHash } from "@caas/contract/manifest.ts";
import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { dispatchChannel } from "./change-manifest.ts";
import type { EntitlementSource } from "./entitlement-source.ts";

// A service bought becomes the one unproved change of its car's next version: for a hundred cars in a handful of
// statements, because purchases come together and are paid together.

export type ServiceChange = {
  vehicleId: string;
  activationId: string;
  attempt: number;
  entitlementId: string;
  applyBefore: Date;
};

/** Locks the cars in the order in which reports lock them. */
export async function lockCars(tx: Transaction, vehicleIds: readonly string[]) {
  return tx
    .selectFrom("vehicle_links")
    .selectAll()
    .where(sql<boolean>`vehicle_id = any(${[...vehicleIds]}::uuid[])`)
    .orderBy("vin")
    .forUpdate()
    .execute();
}

/**
 * Those whose next version could carry a change now, locked: enrolled, known to be online, with nothing unproved
 * under way.
 */
export async function listFree(tx: Transaction, vehicleIds: readonly string[]): Promise<string[]> {
  if (vehicleIds.length === 0) return [];
  const links = await lockCars(tx, vehicleIds);
  return links
    .filter(
      (link) =>
        link.proof_public_key !== null && link.unproved_version === null && link.presence === "online",
    )
    .map((link) => link.vehicle_id);
}

/** Writes each car's next version with its service, the attempt that it is, and the ring that sends it. */
export async function carryServices(
  context: Context,
  entitlements: EntitlementSource,
  tx: Transaction,
  changes: readonly ServiceChange[],
): Promise<void> {
  if (changes.length === 0) return;
  const vehicleIds = changes.map(({ vehicleId }) => vehicleId);
  const entriesOf = await entitlements.listEntriesWith(tx, changes);
  const entries = vehicleIds.map((id): ManifestEntry[] => entriesOf.get(id) ?? []);
  const now = context.clock.now();
  await sql`
    with next as (
      select given.*, greatest(link.manifest_version, link.active_version) + 1 as version
      from unnest(${vehicleIds}::uuid[], ${entries.map((list) => manifestHash(list))}::text[],
                  ${entries.map((list) => JSON.stringify(list))}::jsonb[],
                  ${changes.map(({ activationId }) => activationId)}::uuid[],
                  ${changes.map(({ attempt }) => attempt)}::int[])
        as given (vehicle_id, hash, entries, activation_id, attempt)
      join vehicle_links link using (vehicle_id)
    ), written as (
      insert into manifests (vehicle_id, version, hash, entries, activation_id, created_at)
      select vehicle_id, version, hash, entries, activation_id, ${now} from next
    ), tried as (
      insert into attempts (activation_id, attempt, vehicle_id, version, started_at)
      select activation_id, attempt, vehicle_id, version, ${now} from next
    ), rung as (
      insert into manifest_dispatches (vehicle_id, due_at, sends)
      select vehicle_id, ${now}, 0 from next
      on conflict (vehicle_id) do update set due_at = excluded.due_at, sends = 0, first_sent_at = null
    ), linked as (
      update vehicle_links as link
      set manifest_version = next.version, manifest_hash = next.hash,
          unproved_version = next.version, unproved_activation_id = next.activation_id
      from next where link.vehicle_id = next.vehicle_id
    )
    select pg_notify(${dispatchChannel}, '')`.execute(tx);
}
