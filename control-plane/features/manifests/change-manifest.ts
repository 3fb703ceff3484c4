import { type ManifestEntry, manifestHash } from "@caas/contract/manifest.ts";
import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import type { LinkRow } from "./link-row.ts";

/** The channel that is rung, without content, when a manifest is due to be sent. */
export const dispatchChannel = "caas_dispatch";

export type Unproved = { activationId: string | null } | null;

/**
 * Writes the next version of a car's manifest. The caller holds the link row's lock and has changed the
 * entitlements in the same transaction. The version also passes over what the car says it has, so that a car
 * that is ahead of us (a restored back-up) takes it.
 *
 * @param unproved the change this version is to prove; `null` when it only repeats or removes
 */
export async function writeVersion(
  context: Context,
  tx: Transaction,
  link: LinkRow,
  entries: readonly ManifestEntry[],
  unproved: Unproved,
): Promise<number> {
  const version = Math.max(link.manifest_version, link.active_version) + 1;
  const hash = manifestHash(entries);
  const now = context.clock.now();
  await tx
    .insertInto("manifests")
    .values({
      vehicle_id: link.vehicle_id,
      version,
      hash,
      entries: JSON.stringify(entries),
      activation_id: unproved?.activationId ?? null,
      created_at: now,
    })
    .execute();
  await tx
    .updateTable("vehicle_links")
    .set({
      manifest_version: version,
      manifest_hash: hash,
      unproved_version: unproved === null ? null : version,
      unproved_activation_id: unproved?.activationId ?? null,
    })
    .where("vehicle_id", "=", link.vehicle_id)
    .execute();
  // A version that says what the car already holds need not travel, unless the one before it was sent already: if
  // the car applied that, and its report of it were lost, nothing else would take it back.
  if (unproved === null && hash === link.active_hash && !(await isUnderWay(tx, link.vehicle_id)))
    await forgetDispatch(tx, link.vehicle_id);
  else await requestDispatch(tx, link.vehicle_id, now);
  return version;
}

/** Whether something was sent to the car that it has not answered yet. */
async function isUnderWay(tx: Transaction, vehicleId: string): Promise<boolean> {
  const sent = await tx
    .selectFrom("manifest_dispatches")
    .where("vehicle_id", "=", vehicleId)
    .where("sends", ">", 0)
    .select("sends")
    .executeTakeFirst();
  return sent !== undefined;
}

/** The newest version is to be sent (again) at `dueAt`, business time. */
export async function requestDispatch(tx: Transaction, vehicleId: string, dueAt: Date): Promise<void> {
  await tx
    .insertInto("manifest_dispatches")
    .values({ vehicle_id: vehicleId, due_at: dueAt, sends: 0 })
    .onConflict((conflict) =>
      conflict.column("vehicle_id").doUpdateSet({ due_at: dueAt, sends: 0, first_sent_at: null }),
    )
    .execute();
  await sql`select pg_notify(${dispatchChannel}, '')`.execute(tx);
}

export async function forgetDispatch(tx: Transaction, vehicleId: string): Promise<void> {
  await tx.deleteFrom("manifest_dispatches").where("vehicle_id", "=", vehicleId).execute();
}
