import type pg from "pg";
import { countJobs } from "../store/jobs.ts";
import type { Depths } from "./metrics.ts";

/**
 * Counts for the gauges, in a handful of indexed queries: one after the other, so that a scrape takes one connection.
 * The casts make them numbers for any pool; a bigint is a text for most.
 */
export async function readDepths(pool: pg.Pool): Promise<Depths> {
  const read = async <Row extends pg.QueryResultRow>(text: string): Promise<Row[]> =>
    (await pool.query<Row>(text)).rows;
  const count = async (text: string): Promise<number> => (await read<{ count: number }>(text))[0]?.count ?? 0;
  return {
    jobs: await countJobs(pool),
    manifestsDue: await count("select count(*)::int from manifest_dispatches"),
    carsOnline: await count("select count(*)::int from vehicle_links where presence = 'online'"),
    activations: await read("select state, count(*)::int from activations group by state"),
    openTasks: await read("select team, count(*)::int from tasks where status = 'open' group by team"),
    presumptions: await read("select outcome, count(*)::int from presumptions group by outcome"),
    presumedOpenCents: await count(
      "select open_cents::float8 as count from payment_exposure where scope = 'all'",
    ),
    notifications: await read(
      "select channel, status, count(*)::int from notifications group by channel, status",
    ),
  };
}
