import type { Presence } from "@caas/contract/presence.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Db, Transaction } from "../../store/database.ts";
import { sendToThoseBack } from "./dispatches.ts";
import { tellThoseWaiting } from "./waiting.ts";

export type SaidPresence = { vin: Vin; presence: Presence };

/**
 * Takes in what cars say of their presence, in any number. Cars that came online get what is due to them, and where a
 * purchase waits, that is said. A whole fleet that comes back at once costs a handful of statements per batch, and a car
 * that nothing waits for costs no more than its row.
 * The caller holds the link rows' locks, or writes nothing else of other cars in this transaction.
 */
export async function recordPresences(
  context: Context,
  tx: Transaction,
  said: readonly SaidPresence[],
): Promise<void> {
  const newest = newestOfEach(said);
  if (newest.length === 0) return;
  // The same word again (a second delivery, a second replica) changes nothing and starts nothing.
  const { rows } = await sql<{ vehicle_id: string; state: Presence["state"] }>`
    update vehicle_links as link
    set presence = said.state, presence_connection = said.connection
    from unnest(${newest.map(({ vin }) => vin)}::text[], ${newest.map(({ presence }) => presence.state)}::text[],
                ${newest.map(({ presence }) => presence.connection)}::int[]) as said (vin, state, connection)
    where link.vin = said.vin and link.presence_connection <= said.connection
      and (link.presence, link.presence_connection) <> (said.state, said.connection)
    returning link.vehicle_id, said.state`.execute(tx);
  const vehicleIds = rows.filter(({ state }) => state === "online").map((row) => row.vehicle_id);
  if (vehicleIds.length === 0) return;
  await sendToThoseBack(tx, vehicleIds, context.clock.now());
  await context.publish(
    tx,
    "carConnected",
    vehicleIds.map((vehicleId) => ({ vehicleId })),
  );
  await tellThoseWaiting(context, tx, vehicleIds);
}

/** The last word of each car; one of an older connection does not count after one of a newer. */
function newestOfEach(said: readonly SaidPresence[]): SaidPresence[] {
  const newest = new Map<Vin, SaidPresence>();
  for (const one of said) {
    const known = newest.get(one.vin);
    if (known === undefined || known.presence.connection <= one.presence.connection) newest.set(one.vin, one);
  }
  return [...newest.values()];
}

/** Cars per transaction: it is short enough that nothing else that wants one of them waits. */
const carsAtOnce = 1_000;

/**
 * The link to the broker broke: no car is known to be online until it says so again. In pieces, in the order in which these
 * locks are taken everywhere.
 */
export async function forgetPresences(db: Db): Promise<void> {
  for (let from: string | null = ""; from !== null; ) {
    const { rows } = await sql<{ last: string | null }>`
      with page as (select vin from vehicle_links where vin > ${from} order by vin limit ${carsAtOnce}),
      known as (
        select vehicle_id from vehicle_links
        where vin > ${from} and vin <= (select max(vin) from page) and presence <> 'unknown'
        order by vin for update
      ),
      forgotten as (
        update vehicle_links as link set presence = 'unknown' from known where link.vehicle_id = known.vehicle_id
      )
      select max(vin) as last from page`.execute(db);
    from = rows[0]?.last ?? null;
  }
}
