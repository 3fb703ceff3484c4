import { thumbprintOf } from "@caas/contract/jws.ts";
import { parseVin, type Vin } from "@caas/contract/vin.ts";
import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { plainArray } from "../../store/plain-array.ts";
import { resendAfterMs } from "./dispatches.ts";
import { endSilence } from "./end-silence.ts";

/** A manifest to sign and send now. */
export type Due = {
  vehicleId: string;
  vin: Vin;
  version: number;
  hash: string;
  proofKey: string;
  /** JSON text of the manifest's entries, as it was written. */
  entriesJson: string;
  /** The car holds an older key set than ours: send that first. */
  needsKeys: boolean;
};

/**
 * Claims up to `limit` manifests that are due, and ends the attempts of cars that stayed silent through all re-sends.
 * Replicas share the work: a claimed row is skipped by the others.
 */
export async function takeDue(context: Context, keySetVersion: number, limit: number): Promise<Due[]> {
  const due: Due[] = [];
  for (;;) {
    const most = limit - due.length;
    const claimed = await claim(context, keySetVersion, most);
    // In a transaction of its own, which takes the cars' locks first.
    if (claimed.silent.length > 0)
      await context.db.transaction().execute((tx) => endSilence(context, tx, claimed.silent));
    due.push(...claimed.due);
    // Rows of cars that are away are passed over: behind them may be many of cars that are online.
    if (claimed.count < most || due.length === limit) return due;
  }
}

/**
 * Sets each claimed manifest's next re-send. What is due to a car that is not online waits for the car and no longer
 * for the clock, so that sending to a hundred cars costs the same beside a hundred thousand that sleep.
 */
async function claim(
  context: Context,
  keySetVersion: number,
  limit: number,
): Promise<{ due: Due[]; silent: string[]; count: number }> {
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
    if (claimed.length === 0) return { due: [], silent: [], count: 0 };
    // By a second statement: under the lock it sees the newest version, and whether the car came or went. A change of
    // either sets the dispatch again, after us.
    const sendable = new Map((await readSendable(tx, claimed)).map((row) => [row.vehicle_id, row]));
    const due: Due[] = [];
    const silent: string[] = [];
    /** Until each one's next re-send; `null`: it waits for the car. */
    const waitsMs: (number | null)[] = [];
    for (const { vehicle_id: vehicleId, sends } of claimed) {
      const row = sendable.get(vehicleId);
      const waitMs = resendAfterMs[sends];
      waitsMs.push(row === undefined ? null : (waitMs ?? resendAfterMs[0]));
      if (row === undefined) continue;
      if (waitMs === undefined) silent.push(vehicleId);
      else
        due.push({
          vehicleId,
          vin: parseVin(row.vin),
          version: row.version,
          hash: row.hash,
          proofKey: thumbprintOf(row.proof_public_key),
          entriesJson: row.entries,
          needsKeys: row.key_set_version < keySetVersion,
        });
    }
    await sql`
      update manifest_dispatches as dispatch
      set due_at = coalesce(${now}::timestamptz + wait_ms * interval '1 millisecond', 'infinity'),
          sends = case when wait_ms is null then sends else sends + 1 end,
          first_sent_at = case when wait_ms is null then first_sent_at else coalesce(first_sent_at, ${now}) end
      from unnest(${plainArray(claimed.map((row) => row.vehicle_id))}::uuid[], ${plainArray(waitsMs)}::int[])
        as next (vehicle_id, wait_ms)
      where dispatch.vehicle_id = next.vehicle_id`.execute(tx);
    return { due, silent, count: claimed.length };
  });
}

async function readSendable(tx: Transaction, claimed: readonly { vehicle_id: string }[]) {
  const { rows } = await sql<{
    vehicle_id: string;
    vin: string;
    proof_public_key: string;
    key_set_version: number;
    version: number;
    hash: string;
    entries: string;
  }>`
    select link.vehicle_id, link.vin, link.proof_public_key, link.key_set_version,
           manifest.version, manifest.hash, manifest.entries::text as entries
    from vehicle_links link
      join manifests manifest on manifest.vehicle_id = link.vehicle_id and manifest.version = link.manifest_version
    where link.vehicle_id = any(${plainArray(claimed.map((row) => row.vehicle_id))}::uuid[])
      and link.presence = 'online' and link.proof_public_key is not null`.execute(tx);
  return rows;
}
