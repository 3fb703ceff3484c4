import { minuteMs } from "@caas/contract/durations.ts";
import { sql } from "kysely";
import type { Transaction } from "../../store/database.ts";
import { plainArray } from "../../store/plain-array.ts";

// One row per car whose newest version is due to be sent, now or later: the row goes when the car holds the version.

/** The channel that is rung, without content, when a manifest is due to be sent. */
export const dispatchChannel = "caas_dispatch";

/** After so many sendings without an answer the attempt under way has failed (FA6), 150 s after the first. */
export const sendingsOfAttempt = 4;

/**
 * Wait before each re-send while the car is online and silent: the re-send is the status query (FA6). What is due is
 * sent again for as long as it is due, the last wait over and over: messages may be withheld for days.
 */
export const resendAfterMs = [
  ...[10_000, 20_000, 40_000, 80_000],
  ...[3, 5, 10, 20, 40, 80, 160, 360].map((minutes) => minutes * minuteMs),
] as const;

/** The newest version of each car is due at `dueAt` (business time), as if it had not been sent before. */
export async function setDispatches(
  tx: Transaction,
  vehicleIds: readonly string[],
  dueAt: Date,
): Promise<void> {
  if (vehicleIds.length === 0) return;
  await sql`
    with due as (
      insert into manifest_dispatches (vehicle_id, due_at, sends)
      select vehicle_id, ${dueAt}, 0 from unnest(${plainArray(vehicleIds)}::uuid[]) as next (vehicle_id)
      on conflict (vehicle_id) do update set due_at = excluded.due_at, sends = 0, first_sent_at = null
    )
    select pg_notify(${dispatchChannel}, '')`.execute(tx);
}

/**
 * What is on its way to cars that are behind goes again only to those that cannot read it; cars that nothing is on the
 * way to get the newest version now.
 */
export async function sendToThoseBehind(
  tx: Transaction,
  cars: { behind: readonly string[]; lackingKeys: readonly string[] },
  now: Date,
): Promise<void> {
  const all = [...cars.behind, ...cars.lackingKeys];
  if (all.length === 0) return;
  await sql`
    with missing as (
      insert into manifest_dispatches (vehicle_id, due_at, sends)
      select vehicle_id, ${now}, 0 from unnest(${plainArray(all)}::uuid[]) as next (vehicle_id)
      on conflict (vehicle_id) do nothing returning 1
    ), unreadable as (
      update manifest_dispatches set due_at = ${now}, sends = 0, first_sent_at = null
      where vehicle_id = any(${plainArray(cars.lackingKeys)}::uuid[]) and sends > 0 returning 1
    )
    select pg_notify(${dispatchChannel}, '')
    where exists (select from missing) or exists (select from unreadable)`.execute(tx);
}

/** Cars that are back get at once what is due to them. */
export async function sendToThoseBack(
  tx: Transaction,
  vehicleIds: readonly string[],
  now: Date,
): Promise<void> {
  await sql`
    with asked as (
      update manifest_dispatches set due_at = ${now}, sends = 0, first_sent_at = null
      where vehicle_id = any(${plainArray(vehicleIds)}::uuid[]) returning 1
    )
    select pg_notify(${dispatchChannel}, '') from asked limit 1`.execute(tx);
}
