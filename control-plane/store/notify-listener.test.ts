import pg from "pg";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../test/servers/database.ts";
import { createNotifyListener, type NotifyListener } from "./notify-listener.ts";

const channel = "caas_channel_of_a_test";
let database: TestDatabase;
let listener: NotifyListener;
let client: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase("notify_listener");
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  listener = createNotifyListener({ url: database.url, channel, logger: pino({ level: "silent" }) });
  await listener.start();
});
afterAll(async () => {
  await listener.stop();
  await client.end();
  await database.drop();
});

const ring = () => client.query(`notify ${channel}`);

test("a ring wakes a waiting caller, and one that came before the wait is not missed", async () => {
  const heard = listener.count();
  const waiting = listener.waitPast(heard, 20_000);
  await ring();
  expect(await waiting).toBe(true);
  expect(await listener.waitPast(heard, 20_000)).toBe(true);
});

test("a wait ends at its time limit, and when its caller leaves", async () => {
  expect(await listener.waitPast(listener.count(), 10)).toBe(false);
  const leaving = new AbortController();
  const waiting = listener.waitPast(listener.count(), 20_000, leaving.signal);
  leaving.abort();
  expect(await waiting).toBe(false);
});

test("a lost connection is made again, and every waiting caller looks again for what was missed [fault 21]", async () => {
  const waiting = listener.waitPast(listener.count(), 20_000);
  const { rowCount } = await client.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%' and datname = current_database()",
  );
  expect(rowCount).toBe(1);
  expect(await waiting).toBe(true);
  const next = listener.waitPast(listener.count(), 20_000);
  await ring();
  expect(await next).toBe(true);
});

test("a stopped listener ends every wait", async () => {
  const waiting = listener.waitPast(listener.count(), 20_000);
  await listener.stop();
  expect(await waiting).toBe(false);
  expect(await listener.waitPast(listener.count(), 20_000)).toBe(false);
});
