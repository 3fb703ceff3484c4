import { once } from "node:events";
import { sql } from "kysely";
import pg from "pg";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { createTestDatabase, type TestDatabase } from "../../test/servers/database.ts";
import { runDueJobs } from "../testing/run-due-jobs.ts";
import { type OpenDatabase, openDatabase } from "./database.ts";
import { enqueue, handleJob, jobsChannel, jobType } from "./jobs.ts";
import { migrateToLatest } from "./migrate.ts";
import { storeMessages } from "./received-webhooks.ts";
import { type RunningJobs, startJobs } from "./work-jobs.ts";

const logger = pino({ level: "silent" });
const parcel = jobType("parcel", z.object({ to: z.string() }));
let database: TestDatabase;
let opened: OpenDatabase;
let jobs: RunningJobs | undefined;

beforeAll(async () => {
  database = await createTestDatabase("jobs");
  await migrateToLatest(database.url);
  opened = openDatabase(database.url, 8, () => undefined);
});
afterEach(async () => {
  await stopJobs();
  await opened.pool.query("delete from jobs");
});
afterAll(async () => {
  await opened.close();
  await database.drop();
});

async function stopJobs(): Promise<void> {
  const running = jobs;
  jobs = undefined;
  await running?.stop();
}

/** Resolves when `count` parcels were delivered; `deliver` decides about each. */
function expectDeliveries(count: number, deliver: (to: string, attempt: number) => void = () => undefined) {
  const delivered: string[] = [];
  const all = Promise.withResolvers<string[]>();
  const handler = handleJob(parcel, async ({ to }, attempt) => {
    deliver(to, attempt);
    delivered.push(to);
    if (delivered.length === count) all.resolve(delivered);
  });
  return { handler, delivered: all.promise };
}

const start = (handler: ReturnType<typeof handleJob>) =>
  startJobs({ pool: opened.pool, databaseUrl: database.url, handlers: [handler], concurrency: 1, logger });

async function readWaiting(): Promise<{ attempts: number; last_error: string | null }[]> {
  return (await opened.pool.query("select attempts, last_error from jobs")).rows;
}

test("a job exists exactly when its cause is committed, and is gone when it is done", async () => {
  const { handler, delivered } = expectDeliveries(3);
  jobs = await start(handler);
  await opened.db
    .transaction()
    .execute(async (tx) => {
      await enqueue(tx, parcel, [{ payload: { to: "nobody" } }]);
      throw new Error("undone");
    })
    .catch(() => undefined);
  await opened.db
    .transaction()
    .execute((tx) =>
      enqueue(tx, parcel, [
        { payload: { to: "Ana" } },
        { payload: { to: "Luis" } },
        { payload: { to: "Eva" } },
      ]),
    );
  expect((await delivered).toSorted()).toEqual(["Ana", "Eva", "Luis"]);
  await stopJobs();
  expect(await readWaiting()).toEqual([]);
});

test("a failed job stays with its error and is due again later; the others are done", async () => {
  await opened.db
    .transaction()
    .execute((tx) => enqueue(tx, parcel, [{ payload: { to: "Ana" } }, { payload: { to: "Luis" } }]));
  const { handler } = expectDeliveries(1, (to) => {
    if (to === "Ana") throw new Error("nobody at home");
  });
  expect(await runDueJobs(opened.pool, [handler], logger)).toBe(1);
  expect(await readWaiting()).toEqual([{ attempts: 1, last_error: "nobody at home" }]);
  expect(await runDueJobs(opened.pool, [handler], logger)).toBe(0);
  await opened.pool.query("update jobs set due_at = now()");
  const attempts: number[] = [];
  const second = expectDeliveries(1, (_to, attempt) => attempts.push(attempt));
  expect(await runDueJobs(opened.pool, [second.handler], logger)).toBe(0);
  expect(attempts).toEqual([2]);
});

test.each([
  ["later", 3_600_000, 1_800_000],
  ["earlier", 600_000, 600_000],
])(
  "at most one job waits under a key: enqueuing it again for %s replaces it, and never puts it off [F13]",
  async (_title, againMs, expectedMs) => {
    const now = Date.now();
    const at = (ms: number) => new Date(now + ms);
    await opened.db.transaction().execute(async (tx) => {
      await enqueue(tx, parcel, [{ payload: { to: "Ana" }, key: "ana", runAt: at(1_800_000) }]);
      await enqueue(tx, parcel, [{ payload: { to: "Ana María" }, key: "ana", runAt: at(againMs) }]);
    });
    const { rows } = await opened.pool.query("select payload, due_at from jobs");
    expect(rows).toEqual([{ payload: { to: "Ana María" }, due_at: at(expectedMs) }]);
  },
);

test("the jobs a killed worker had in hand run again at once; those of a living one are left alone [2]", async () => {
  const lockClass = 0x63616174;
  const living = new pg.Client({ connectionString: database.url });
  await living.connect();
  await living.query("select pg_advisory_lock($1, 7)", [lockClass]);
  await opened.pool.query(
    `insert into jobs (kind, payload, max_attempts, due_at, attempts, taken_by) values
     ('parcel', '{"to": "the dead one''s"}', 25, now() + interval '1 minute', 1, 6),
     ('parcel', '{"to": "the living one''s"}', 25, now() + interval '1 minute', 1, 7)`,
  );
  const first = expectDeliveries(1);
  jobs = await start(first.handler);
  expect(await first.delivered).toEqual(["the dead one's"]);
  await stopJobs();
  expect(await readWaiting()).toEqual([{ attempts: 1, last_error: null }]);
  // The other worker dies too, and its lock with its connection.
  await living.end();
  const second = expectDeliveries(1);
  jobs = await start(second.handler);
  expect(await second.delivered).toEqual(["the living one's"]);
});

test("what is written without a job wakes no worker; with one it does", async () => {
  const heard: string[] = [];
  const isOver = Promise.withResolvers<void>();
  const listener = new pg.Client({ connectionString: database.url });
  await listener.connect();
  try {
    listener.on("notification", ({ channel }) => {
      heard.push(channel);
      if (channel === "over") isOver.resolve();
    });
    await listener.query(`listen ${jobsChannel}; listen over`);
    const store = (id: string, work: { to: string } | null) =>
      storeMessages(opened.db, "post", { type: parcel, maxAttempts: 1 }, [
        { id, type: "letter", body: "", work },
      ]);
    expect(await store("nothing follows", null)).toEqual(new Set(["nothing follows"]));
    await opened.db.transaction().execute((tx) => enqueue(tx, parcel, [], [sql`select 1`]));
    expect(await store("nothing follows", { to: "Ana" })).toEqual(new Set());
    await opened.pool.query("notify over");
    await isOver.promise;
    expect([heard, await readWaiting()]).toEqual([["over"], []]);

    expect(await store("Ana gets a parcel", { to: "Ana" })).toEqual(new Set(["Ana gets a parcel"]));
    await opened.pool.query("notify over");
    while (heard.length < 3) await once(listener, "notification");
    expect([heard, await readWaiting()]).toEqual([
      ["over", jobsChannel, "over"],
      [{ attempts: 0, last_error: null }],
    ]);
  } finally {
    await listener.end();
  }
});
