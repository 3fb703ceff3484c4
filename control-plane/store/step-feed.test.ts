import pg from "pg";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../test/servers/database.ts";
import { createStepFeed, type StepFeed } from "./step-feed.ts";

const channel = "caas_steps_of_a_test";
let database: TestDatabase;
let feed: StepFeed;
let client: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase("step_feed");
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  feed = createStepFeed({ url: database.url, channel, logger: pino({ level: "silent" }) });
  await feed.start();
});
afterAll(async () => {
  await feed.stop();
  await client.end();
  await database.drop();
});

const ring = () => client.query(`notify ${channel}`);

test("who waits is woken by the next bell, and one that rang meanwhile is not missed", async () => {
  const heard = feed.count();
  const waiting = feed.waitPast(heard, 20_000);
  await ring();
  expect(await waiting).toBe(true);
  expect(await feed.waitPast(heard, 20_000)).toBe(true);
});

test("a wait ends by itself, and when whoever waits has gone", async () => {
  expect(await feed.waitPast(feed.count(), 10)).toBe(false);
  const leaving = new AbortController();
  const waiting = feed.waitPast(feed.count(), 20_000, leaving.signal);
  leaving.abort();
  expect(await waiting).toBe(false);
});

test("fault 21: a lost connection is made anew, and everybody looks again for what was missed", async () => {
  const waiting = feed.waitPast(feed.count(), 20_000);
  const { rowCount } = await client.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%' and datname = current_database()",
  );
  expect(rowCount).toBe(1);
  expect(await waiting).toBe(true);
  const next = feed.waitPast(feed.count(), 20_000);
  await ring();
  expect(await next).toBe(true);
});

test("once it stops, nobody waits any more", async () => {
  const waiting = feed.waitPast(feed.count(), 20_000);
  await feed.stop();
  expect(await waiting).toBe(false);
  expect(await feed.waitPast(feed.count(), 20_000)).toBe(false);
});
