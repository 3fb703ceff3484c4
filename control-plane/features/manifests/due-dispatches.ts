import { thumbprintOf } from "@caas/contract/jws.ts";
import { type ManifestEntry, manifestEntrySchema } from "@caas/contract/manifest.ts";
import { parseVin, type Vin } from "@caas/contract/vin.ts";
import { sql } from "kysely";
import * as z from "zod";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";

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
 * Claims up to `limit` manifests that are due, and sets each one's next re-send. Replicas share the work: a claimed
 * row is skipped by the others. What is due to a car that is not online waits for the car and no longer for the
 * clock, so that sending to a hundred cars costs the same beside a hundred thousand that sleep.
 *
 * @returns what to send, the cars that stayed silent through all re-sends (the caller ends their change in a
 *   transaction of its own, which takes the car's lock first), and how many were claimed
 */
export async function takeDue(
  context: Context,
  limit: number,
  keySetVersion: number,
): Promise<{ due: Due[]; silent: string[]; claimed: number }> {
  const now = context.clock.now();
  return context.db.transaction().execute(async (tx) => {
    const claimed = await tx
      .selectFrom("manifest_dispatches")
      .select(["vehicle_id", "sends"])
      .where("due_at", "<=", now)
      .orderBy("due_at")
      .limit(limit)
      .forUpdate()
      .skipLocked()
      .execute();
    if (claimed.length === 0) return { due: [], silent: [], claimed: 0 };
    // By a second statement: under the lock it sees the newest version, and whether the car came or went. Whoever
    // changes either asks for the dispatch again, after us.
    const sendable = new Map((await readSendable(tx, claimed)).map((row) => [row.vehicle_id, row]));
    const due: Due[] = [];
    const silent: string[] = [];
    const next: (Date | "infinity")[] = [];
    for (const { vehicle_id: vehicleId, sends } of claimed) {
      const row = sendable.get(vehicleId);
      const waitMs = resendAfterMs[sends];
      if (row === undefined) next.push("infinity");
      else next.push(new Date(now.getTime() + (waitMs ?? resendAfterMs[0])));
      if (row === undefined) continue;
      if (waitMs === undefined) silent.push(vehicleId);
      else
        due.push({
          vehicleId,
          vin: parseVin(row.vin),
          version: row.version,
          hash: row.hash,
          proofKey: thumbprintOf(row.proof_public_key ?? ""),
          entries: entriesSchema.parse(row.entries),
          needsKeys: row.key_set_version < keySetVersion,
        });
    }
    await sql`
      update manifest_dispatches as dispatch
      set due_at = next.due_at,
          sends = case when next.due_at = 'infinity' then sends else sends + 1 end,
          first_sent_at = case when next.due_at = 'infinity' then first_sent_at else coalesce(first_sent_at, ${now}) end
      from unnest(${claimed.map((row) => row.vehicle_id)}::uuid[], ${next}::timestamptz[]) as next (vehicle_id, due_at)
      where dispatch.vehicle_id = next.vehicle_id`.execute(tx);
    return { due, silent, claimed: claimed.length };
  });
}

function readSendable(tx: Transaction, claimed: readonly { vehicle_id: string }[]) {
  return tx
    .selectFrom("vehicle_links as link")
    .innerJoin("manifests as manifest", (join) =>
      join
        .onRef("manifest.vehicle_id", "=", "link.vehicle_id")
        .onRef("manifest.version", "=", "link.manifest_version"),
    )
    .where(
      "link.vehicle_id",
      "in",
      claimed.map((row) => row.vehicle_id),
    )
    .where("link.presence", "=", "online")
    .where("link.proof_public_key", "is not", null)
    .select([
      "link.vehicle_id",
      "link.vin",
      "link.proof_public_key",
      "link.key_set_version",
      "manifest.version",
      "manifest.hash",
      "manifest.entries",
    ])
    .execute();
}
