import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Wanted } from "../../lifecycle/desired-state.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { mapEach } from "../../store/map-each.ts";
import { plainArray, sparseArray } from "../../store/plain-array.ts";

/**
 * What cars must hold from now on. Of what a car was sold with, one that was never proved gives way to the next of the
 * same code; one that was stays until its successor is proved.
 *
 * @returns their ids, in the same order
 */
export async function want<const All extends readonly Wanted[]>(context: Context, tx: Transaction, all: All) {
  const ids = mapEach(all, () => newId());
  const now = context.clock.now();
  await sql`
    with next as materialized (
      select * from unnest(${plainArray(ids)}::uuid[], ${plainArray(all.map(({ vehicleId }) => vehicleId))}::uuid[],
                           ${plainArray(all.map(({ source }) => source))}::text[], ${all.map(({ code }) => code)}::text[],
                           ${all.map(({ configuration }) => JSON.stringify(configuration))}::text[],
                           ${sparseArray(all.map(({ durationSeconds }) => durationSeconds))}::int[])
        as next (id, vehicle_id, source, code, configuration, duration_seconds)
    ), given_up as (
      update entitlements as former set state = 'ended', end_reason = 'replaced', ended_at = ${now}
      from next
      where former.vehicle_id = next.vehicle_id and former.ended_at is null and former.code = next.code
        and former.source = 'plan' and next.source = 'plan' and former.state = 'wanted'
    )
    insert into entitlements (id, vehicle_id, source, code, configuration, duration_seconds, state, created_at)
    select id, vehicle_id, source, code, configuration::jsonb, duration_seconds, 'wanted', ${now} from next
  `.execute(tx);
  return ids;
}
