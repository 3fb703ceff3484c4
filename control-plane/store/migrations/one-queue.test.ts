import { Kysely, PostgresDialect, sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/servers/database.ts";
import { type OpenDatabase, openDatabase } from "../database.ts";
import { up as createQuickJobs } from "./0008-quick-jobs.ts";
import { up as moveToOneQueue } from "./0011-one-queue.ts";

let database: TestDatabase;
let opened: OpenDatabase;

beforeAll(async () => {
  database = await createTestDatabase("one_queue");
  opened = openDatabase(database.url, 2, () => undefined);
});
afterAll(async () => {
  await opened.close();
  await database.drop();
});

test("jobs that wait in the earlier queue's tables move with their key, time, attempts and error", async () => {
  const { db, pool } = opened;
  const untyped = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  await sql`drop table jobs`.execute(db);
  await createQuickJobs(untyped);
  await sql`
    insert into quick_jobs (kind, payload, due_at, max_attempts) values ('captureHold', '{"activationId": "a"}', now(), 25);
    create schema graphile_worker;
    create table graphile_worker._private_tasks (id int primary key, identifier text);
    create table graphile_worker._private_jobs (id bigint primary key, task_id int, payload json, run_at timestamptz,
      attempts smallint, max_attempts smallint, last_error text, key text, locked_at timestamptz, locked_by text);
    insert into graphile_worker._private_tasks values (1, 'refund'), (2, 'lookUpPresumed');
    insert into graphile_worker._private_jobs values
      (1, 1, '{"refundId": "r"}', '2026-03-02T09:00:00Z', 3, 25, 'the bank is closed', null, now(), 'worker-1'),
      (2, 2, '{"paymentId": "p"}', '2026-03-03T09:00:00Z', 0, 5, null, 'lookUpPresumed:p', null, null)`.execute(
    db,
  );
  await moveToOneQueue(untyped);
  const rows = await db.selectFrom("jobs").selectAll().orderBy("kind").execute();
  expect(rows).toMatchObject([
    { kind: "captureHold", payload: { activationId: "a" }, attempts: 0 },
    {
      kind: "lookUpPresumed",
      payload: { paymentId: "p" },
      key: "lookUpPresumed:p",
      due_at: new Date("2026-03-03T09:00:00Z"),
      max_attempts: 5,
    },
    {
      kind: "refund",
      payload: { refundId: "r" },
      due_at: new Date("2026-03-02T09:00:00Z"),
      attempts: 3,
      last_error: "the bank is closed",
      taken_by: null,
    },
  ]);
  const schemas = await sql`select from pg_namespace where nspname = 'graphile_worker'`.execute(db);
  expect(schemas.rows).toEqual([]);
});
