import type pg from "pg";
import { countJobs } from "../store/jobs.ts";
import type { Depths } from "./metrics.ts";

/** Counts for the gauges, in a handful of indexed queries. */
export async function readDepths(pool: pg.Pool): Promise<Depths> {
  const count = async (text: string): Promise<number> =>
    Number((await pool.query<{ count: string }>(text)).rows[0]?.count ?? 0);
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
    pool.query<{ state: string; count: string }>("select state, count(*) from activations group by state"),
    pool.query<{ team: string; count: string }>(
      "select team, count(*) from tasks where status = 'open' group by team",
    ),
    pool.query<{ channel: string; status: string; count: string }>(
      "select channel, status, count(*) from notifications group by channel, status",
    ),
    pool.query<{ outcome: string; count: string }>(
      "select outcome, count(*) from presumptions group by outcome",
    ),
    count("select open_cents as count from payment_exposure where scope = 'all'"),
  ]);
  return {
    jobs,
    manifestsDue,
    carsOnline,
    activations: activations.rows.map((row) => ({ ...row, count: Number(row.count) })),
    openTasks: openTasks.rows.map((row) => ({ ...row, count: Number(row.count) })),
    presumptions: presumptions.rows.map((row) => ({ ...row, count: Number(row.count) })),
    presumedOpenCents,
    notifications: notifications.rows.map((row) => ({ ...row, count: Number(row.count) })),
  };
}
