import { createHash } from "node:crypto";
import { Kysely, PostgresDialect, sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/servers/database.ts";
import { type OpenDatabase, openDatabase } from "../database.ts";
import { up } from "./0012-sign-in.ts";

let database: TestDatabase;
let opened: OpenDatabase;

beforeAll(async () => {
  database = await createTestDatabase("sign_in");
  opened = openDatabase(database.url, 2, () => undefined);
});
afterAll(async () => {
  await opened.close();
  await database.drop();
});

test("a session that was open before stays open, and its token is no longer in the database [R13]", async () => {
  const { db, pool } = opened;
  await sql`
    drop table try_limits;
    insert into auth_users (id, name, email, role) values ('ana', 'Ana', 'ana@caas.example', 'support');
    insert into auth_sessions (id, "userId", token, "expiresAt") values ('s', 'ana', 'the token', now() + interval '1 day')`.execute(
    db,
  );
  await up(new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) }));
  const { rows } = await sql<{ token: string }>`select token from auth_sessions`.execute(db);
  expect(rows).toEqual([{ token: createHash("sha256").update("the token").digest("hex") }]);
});
