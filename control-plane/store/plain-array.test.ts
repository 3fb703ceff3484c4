import { randomBytes, randomUUID } from "node:crypto";
import { sql } from "kysely";
import { expect, test } from "vitest";
import { createTestDatabase } from "../../test/servers/database.ts";
import { openDatabase } from "./database.ts";
import { byteArray, plainArray } from "./plain-array.ts";

test("PostgreSQL reads the written text as the same array", async () => {
  const database = await createTestDatabase("arrays");
  const opened = openDatabase(database.url, 1, () => undefined);
  try {
    const ids = [randomUUID(), randomUUID()];
    const hashes = Array.from({ length: 20 }, () => randomBytes(32).toString("base64url"));
    const bytes = [randomBytes(40), null, Buffer.alloc(0), Buffer.from([0, 92, 34, 44])];
    const { rows } = await sql`
      select ${plainArray(ids)}::uuid[] as ids, ${plainArray(hashes)}::text[] as hashes,
             ${plainArray([1, null, -2.5])}::float8[] as numbers, ${plainArray([])}::int[] as none,
             ${byteArray(bytes)}::bytea[] as bytes, ${byteArray([])}::bytea[] as no_bytes`.execute(opened.db);
    expect(rows).toEqual([{ ids, hashes, numbers: [1, null, -2.5], none: [], bytes, no_bytes: [] }]);
  } finally {
    await opened.close();
    await database.drop();
  }
});

test("an element that needs quotes, or reads as NULL, is refused", () => {
  for (const element of ["a b", "a}", '"', "a\\b", "", "null", "NULL", "1,2"])
    expect(() => plainArray([element]), element).toThrow(/quotes/);
});
