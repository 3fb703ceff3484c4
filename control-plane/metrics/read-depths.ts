import type pg from "pg";
import { countJobs } from "../store/jobs.ts";
import type { Depths } from "./metrics.ts";

/** Counts for the gauges, in a handful of indexed queries. */
export async function readDepths(pool: pg.Pool): Promise<Depths> {
  const read = async <Row extends pg.QueryResultRow>(text: string): Promise<Row[]> =>
    (await pool.query<Row>(text)).rows;
  const count = async (text: string): Promise<number> => (await read<{ count: number }>(text))[0]?.count ?? 0;
  const [
    jobs,
    manifestsDue,
    carsOnline,
    activations,
    openTasks,
    notifications,
    presumptions,
    presumedOpenCents,
  ] = await Promise.all([
    countJobs(pool),
    count("select count(*) from manifest_dispatches"),
    count("select count(*) from vehicle_links where presence = 'online'"),
    read<Depths["activations"][number]>("select state, count(*) from activations group by state"),
    read<Depths["openTasks"][number]>("select team, count(*) from tasks where status = 'open' group by team"),
    read<Depths["notifications"][number]>(
      "select channel, status, count(*) from notifications group by channel, status",
    ),
    read<Depths["presumptions"][number]>("select outcome, count(*) from presumptions group by outcome"),
    count("select open_cents as count from payment_exposure where scope = 'all'"),
  ]);
  return {
    jobs,
    manifestsDue,
    carsOnline,
    activations,
    openTasks,
    notifications,
    presumptions,
    presumedOpenCents,
  };
}
