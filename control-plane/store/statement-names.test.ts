import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../test/servers/database.ts";
import { type OpenDatabase, openDatabase } from "./database.ts";
import { createStatementNames, firstNamedUse } from "./statement-names.ts";

let database: TestDatabase;
let opened: OpenDatabase;

beforeAll(async () => {
  database = await createTestDatabase("statement_names");
  // A single connection, so that its prepared statements can be listed.
  opened = openDatabase(database.url, 1, () => undefined);
  await sql`create table things (id int primary key, name text)`.execute(opened.db);
  await sql`insert into things values (1, 'one'), (2, 'two')`.execute(opened.db);
});
afterAll(async () => {
  await opened.close();
  await database.drop();
});

const findThing = async (id: number) =>
  (await sql<Record<string, unknown>>`select * from things where id = ${id}`.execute(opened.db)).rows;

async function listPrepared(): Promise<string[]> {
  const { rows } = await sql<{ statement: string }>`select statement from pg_prepared_statements`.execute(
    opened.db,
  );
  return rows.map(({ statement }) => statement);
}

test("a frequent statement is prepared once and answers as before", async () => {
  const text = "select * from things where id = $1";
  for (let use = 1; use < firstNamedUse; use += 1) await findThing(1);
  expect(await listPrepared()).not.toContain(text);
  for (const [id, name] of [
    [1, "one"],
    [2, "two"],
    [1, "one"],
  ] as const)
    expect(await findThing(id)).toEqual([{ id, name }]);
  expect((await listPrepared()).filter((statement) => statement === text)).toHaveLength(1);
});

test("a table changed by another process costs a connection one failed statement", async () => {
  for (let use = 0; use <= firstNamedUse; use += 1) await findThing(1);
  await sql`alter table things add column colour text default 'red'`.execute(opened.db);
  await expect(findThing(1)).rejects.toThrow("cached plan must not change result type");
  for (let use = 0; use <= firstNamedUse; use += 1)
    expect(await findThing(2)).toEqual([{ id: 2, name: "two", colour: "red" }]);
});

test("a prepared statement that fails in a transaction does not affect the next transaction", async () => {
  const add = (id: number) =>
    opened.db.transaction().execute(async (tx) => {
      await sql`insert into things (id, name) values (${id}, ${String(id)})`.execute(tx);
    });
  for (let use = 1; use <= firstNamedUse; use += 1) await add(100 + use);
  await expect(add(101)).rejects.toMatchObject({ code: "23505" });
  await add(99);
  expect(await findThing(99)).toMatchObject([{ name: "99" }]);
});

test("the number of names is limited, and no name is given twice", () => {
  const names = createStatementNames();
  const nameAfterUses = (text: string) =>
    Array.from({ length: firstNamedUse }, () => names.nameOf(text)).at(-1) ?? null;
  const given = Array.from({ length: 400 }, (_, index) => nameAfterUses(`select ${index} + $1`));
  expect(new Set(given.filter((name) => name !== null)).size).toBe(300);
  expect(given.slice(300)).toEqual(Array.from({ length: 100 }, () => null));
  names.forget();
  const anew = nameAfterUses("select 0 + $1");
  expect(anew).not.toBeNull();
  expect(given).not.toContain(anew);
  // Texts that are used once do not keep frequent ones from getting a name.
  for (let index = 0; index < 5_000; index += 1) names.nameOf(`select once, ${index}`);
  expect(nameAfterUses("select again")).not.toBeNull();
});
