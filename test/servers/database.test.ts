import pg from "pg";
import { expect, test } from "vitest";
import { createTestDatabase } from "./database.ts";

async function query(url: string, statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

test("each test database is its own: what one test writes, another does not see", async () => {
  const [first, second] = await Promise.all([createTestDatabase("first"), createTestDatabase("second")]);
  await query(first.url, "CREATE TABLE only_here (id int)");
  const find = "SELECT to_regclass('only_here') IS NOT NULL AS found";
  expect(await query(first.url, find)).toEqual([{ found: true }]);
  expect(await query(second.url, find)).toEqual([{ found: false }]);
  await Promise.all([first.drop(), second.drop()]);
});

test("a database is dropped although a session is still open on it", async () => {
  const database = await createTestDatabase();
  const client = new pg.Client({ connectionString: database.url });
  const ended = new Promise<Error>((resolve) => client.on("error", resolve));
  await client.connect();
  await database.drop();
  expect((await ended).message).toContain("terminat");
  await expect(query(database.url, "SELECT 1")).rejects.toMatchObject({ code: "3D000" });
});
