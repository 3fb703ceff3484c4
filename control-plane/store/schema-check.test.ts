import pg from "pg";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import {
  createDatabaseFrom,
  dropDatabase,
  uniqueDatabaseName,
} from "../../test/servers/database-commands.ts";
import { migrateToLatest } from "./migrate.ts";
import { SchemaRefused } from "./schema-check.ts";

const server = inject("databaseServerUrl");
let name: string;
let url: string;
let client: pg.Client;

beforeEach(async () => {
  name = uniqueDatabaseName("schema_check");
  url = await createDatabaseFrom(server, name, "template0");
  client = new pg.Client({ connectionString: url });
  await client.connect();
});
afterEach(async () => {
  await client.end();
  await dropDatabase(server, name);
});

async function listAll(): Promise<string[]> {
  const { rows } = await client.query<{ found: string }>(
    "select table_name || ' ' || coalesce(string_agg(column_name, ',' order by ordinal_position), '') as found " +
      "from information_schema.columns where table_schema = 'public' group by table_name order by table_name",
  );
  return rows.map(({ found }) => found);
}

async function refusal(): Promise<string> {
  const before = await listAll();
  const error: unknown = await migrateToLatest(url).catch((why: unknown) => why);
  expect(error).toBeInstanceOf(SchemaRefused);
  expect(await listAll()).toEqual(before);
  return error instanceof Error ? error.message : "";
}

test("an empty database is migrated, and a migrated one again", async () => {
  await client.query("create extension if not exists pg_trgm").catch(() => undefined);
  await migrateToLatest(url);
  const made = await listAll();
  expect(made.length).toBeGreaterThan(20);
  // What others have put beside our tables since is no reason to stop.
  await client.query("create table notes_of_an_operator (words text)");
  await migrateToLatest(url);
});

test("a database with a newer schema is left as it is, and both versions are named [R19]", async () => {
  await migrateToLatest(url);
  await client.query("insert into kysely_migration values ('9999-of-next-year', now()::text)");
  expect(await refusal()).toMatch(
    /has the schema 9999-of-next-year, and this version knows schemas up to \d{4}-[\w-]+: start the version/,
  );
});

test("a database of another program is left as it is, and its tables are named [R19]", async () => {
  for (const table of ["orders", "people", "prices", "stock"])
    await client.query(`create table ${table} (id int)`);
  expect(await refusal()).toMatch(
    /holds tables that are not ours \(orders, people, prices and 1 more\).* give it a database of its own/,
  );
});

test("a schema with a gap is left as it is, and what is missing is named [R19]", async () => {
  await migrateToLatest(url);
  await client.query("delete from kysely_migration where name = '0007-uncertain-payments'");
  expect(await refusal()).toContain("without 0007-uncertain-payments");
});
