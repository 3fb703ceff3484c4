import pg from "pg";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { createTestDatabase, type TestDatabase } from "../../test/servers/database.ts";
import { type OpenDatabase, openDatabase } from "./database.ts";
import { enqueue, handleJob, jobType, type RunningJobs, startJobs } from "./jobs.ts";
import { migrateToLatest } from "./migrate.ts";

const logger = pino({ level: "silent" });
const letter = jobType("letter", z.object({ to: z.string() }));
let database: TestDatabase;
let opened: OpenDatabase;
let jobs: RunningJobs | undefined;

beforeAll(async () => {
  database = await createTestDatabase("job_recovery");
  await migrateToLatest(database.url);
  opened = openDatabase(database.url, 6, () => undefined);
});
afterAll(async () => {
  await jobs?.stop();
  await opened.close();
  await database.drop();
});

/** As a worker leaves it behind that was killed with the job in hand. */
async function leaveBehind(to: string, worker: string): Promise<void> {
  await opened.db.transaction().execute((tx) => enqueue(tx, letter, [{ payload: { to } }]));
  await opened.pool.query(
    `update graphile_worker._private_jobs set locked_by = $1, locked_at = now() - interval '1 minute', attempts = 1
     where payload->>'to' = $2`,
    [worker, to],
  );
}

async function lockOf(to: string): Promise<string | null> {
  const { rows } = await opened.pool.query<{ locked_by: string | null }>(
    "select locked_by from graphile_worker._private_jobs where payload->>'to' = $1",
    [to],
  );
  return rows[0]?.locked_by ?? null;
}

test("2: the jobs a killed worker had in hand are run again at once, those of a living one are left to it", async () => {
  const living = new pg.Client({ connectionString: database.url });
  await living.connect();
  await living.query("select pg_advisory_lock($1, hashtext($2))", [0x63616173, "pool-living"]);
  await leaveBehind("the dead one's", "pool-dead");
  await leaveBehind("the living one's", "pool-living");

  const delivered: string[] = [];
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  jobs = await startJobs({
    pool: opened.pool,
    handlers: [
      handleJob(letter, async ({ to }) => {
        delivered.push(to);
        (delivered.length === 1 ? first : second).resolve();
      }),
    ],
    concurrency: 2,
    logger,
  });
  await first.promise;
  expect(delivered).toEqual(["the dead one's"]);
  expect(await lockOf("the living one's")).toBe("pool-living");

  // It dies as well: its connection ends, and with it the lock.
  await living.end();
  await second.promise;
  expect(delivered).toEqual(["the dead one's", "the living one's"]);
});
