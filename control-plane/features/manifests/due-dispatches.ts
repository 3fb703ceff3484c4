import { thumbprintOf } from "@caas/contract/jws.ts";
import { type ManifestEntry, manifestEntrySchema } from "@caas/contract/manifest.ts";
import { parseVin, type Vin } from "@caas/contract/vin.ts";
import { sql } from "kysely";
import * as z from "zod";
import type { Context } from "../../lifecycle/context.ts";

/** A manifest to sign and send now. */
export type Due = {
  vehicleId: string;
  vin: Vin;
  version: number;
  hash: string;
  proofKey: string;
  entries: ManifestEntry[];
  /** The car holds an older key set than ours: send that first. */
  needsKeys: boolean;
};

/** Wait before each re-send while the car is online and silent: the re-send is the status query (FA6). */
export const resendAfterMs = [10_000, 20_000, 40_000, 80_000] as const;

const entriesSchema = z.array(manifestEntrySchema);

/**
 * Claims up to `limit` manifests that are due for cars known to be online, and sets each one's next re-send.
 * Replicas share the work: a claimed row is skipped by the others.
 *
 * @returns what to send, and the cars that stayed silent through all re-sends: the caller ends their change in
 *   a transaction of its own, which takes the car's lock first
 */
export async function takeDue(
  context: Context,
  limit: number,
  keySetVersion: number,
): Promise<{ due: Due[]; silent: string[] }> {
  const now = context.clock.now();
  return context.db.transaction().execute(async (tx) => {
    const rows = await tx
      .selectFrom("manifest_dispatches as dispatch")
      .innerJoin("vehicle_links as link", "link.vehicle_id", "dispatch.vehicle_id")
      .innerJoin("manifests as manifest", (join) =>
        join
          .onRef("manifest.vehicle_id", "=", "link.vehicle_id")
          .onRef("manifest.version", "=", "link.manifest_version"),
      )
      .where("dispatch.due_at", "<=", now)
      .where("link.presence", "=", "online")
      .where("link.proof_public_key", "is not", null)
      .orderBy("dispatch.due_at")
      .limit(limit)
      .forUpdate("dispatch")
      .skipLocked()
      .select([
        "dispatch.vehicle_id",
        "dispatch.sends",
        "link.vin",
        "link.proof_public_key",
        "link.key_set_version",
        "manifest.version",
        "manifest.hash",
        "manifest.entries",
      ])
      .execute();
    const due: Due[] = [];
    const silent: string[] = [];
    const nextDue: Date[] = [];
    for (const row of rows) {
      const waitMs = resendAfterMs[row.sends];
      nextDue.push(new Date(now.getTime() + (waitMs ?? resendAfterMs[0])));
      if (waitMs === undefined) silent.push(row.vehicle_id);
      else
        due.push({
          vehicleId: row.vehicle_id,
          vin: parseVin(row.vin),
          version: row.version,
          hash: row.hash,
          proofKey: thumbprintOf(row.proof_public_key ?? ""),
          entries: entriesSchema.parse(row.entries),
          needsKeys: row.key_set_version < keySetVersion,
        });
    }
    if (rows.length > 0)
      await sql`
        update manifest_dispatches as dispatch
        set sends = sends + 1, due_at = next.due_at, first_sent_at = coalesce(first_sent_at, ${now})
        from unnest(${rows.map((row) => row.vehicle_id)}::uuid[], ${nextDue}::timestamptz[]) as next (vehicle_id, due_at)
        where dispatch.vehicle_id = next.vehicle_id`.execute(tx);
    return { due, silent };
  });
}
