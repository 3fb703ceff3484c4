import { thumbprintOf } from "@caas/contract/jws.ts";
import { parseVin, type Vin } from "@caas/contract/vin.ts";
import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Db } from "../../store/database.ts";
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
 * Claims by one statement, which also sets each next re-send: a claim that is lost in a crash before the sending costs
 * that wait, like a message lost on its way. What is due to a car that is not online waits for the car and no longer
 * for the clock, so that sending to a hundred cars costs the same beside a hundred thousand that sleep.
 */
async function claim(
  { db, clock }: Context,
  keySetVersion: number,
  limit: number,
): Promise<{ due: Due[]; silent: string[]; count: number }> {
  const now = clock.now();
  const { rows: claimed } = await sql<Claimed>`
    with due as (
      select vehicle_id, sends from manifest_dispatches where due_at <= ${now}
      order by due_at limit ${limit} for update skip locked
    )
    update manifest_dispatches as dispatch
    set due_at = ${now}::timestamptz + coalesce(waits.ms[due.sends + 1], waits.ms[1]) * interval '1 millisecond',
        sends = due.sends + 1, first_sent_at = coalesce(first_sent_at, ${now})
    from due, (select ${plainArray(resendAfterMs)}::int[] as ms) as waits
    where dispatch.vehicle_id = due.vehicle_id
    returning dispatch.vehicle_id, due.sends, dispatch.due_at`.execute(db);
  if (claimed.length === 0) return { due: [], silent: [], count: 0 };
  // A version written since then, and a car that came or went, sets the dispatch again.
  const sendable = new Map((await readSendable(db, claimed)).map((row) => [row.vehicle_id, row]));
  await awaitCars(
    db,
    claimed.filter((row) => !sendable.has(row.vehicle_id)),
  );
  const due: Due[] = [];
  const silent: string[] = [];
  for (const { vehicle_id: vehicleId, sends } of claimed) {
    const row = sendable.get(vehicleId);
    if (row === undefined) continue;
    if (sends >= resendAfterMs.length) silent.push(vehicleId);
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
  return { due, silent, count: claimed.length };
}

/** A dispatch as it was when it was claimed: `sends` before, `due_at` after. */
type Claimed = { vehicle_id: string; sends: number; due_at: Date };

/** Claimed in vain: nothing was sent, and nothing is due before the car is back. One set again meanwhile stays so. */
async function awaitCars(db: Db, away: readonly Claimed[]): Promise<void> {
  if (away.length === 0) return;
  await sql`
    update manifest_dispatches as dispatch
    set due_at = 'infinity', sends = away.sends,
        first_sent_at = case when away.sends > 0 then first_sent_at end
    from unnest(${plainArray(away.map((row) => row.vehicle_id))}::uuid[],
                ${plainArray(away.map((row) => row.sends))}::int[],
                ${away.map((row) => row.due_at)}::timestamptz[]) as away (vehicle_id, sends, due_at)
    where dispatch.vehicle_id = away.vehicle_id and dispatch.sends = away.sends + 1
      and dispatch.due_at = away.due_at`.execute(db);
}

async function readSendable(db: Db, claimed: readonly Claimed[]) {
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
      and link.presence = 'online' and link.proof_public_key is not null`.execute(db);
  return rows;
}
