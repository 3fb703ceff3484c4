import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../test/servers/database.ts";
import { type OpenDatabase, openDatabase } from "../store/database.ts";
import { migrateToLatest } from "../store/migrate.ts";
import { claimKeys, type KeyClaim, storeAnswers } from "./idempotency.ts";

let database: TestDatabase;
let opened: OpenDatabase;

beforeAll(async () => {
  database = await createTestDatabase("idempotency");
  await migrateToLatest(database.url);
  opened = openDatabase(database.url, 4, () => undefined);
});
afterAll(async () => {
  await opened.close();
  await database.drop();
});

const claimOf = (key: string, bodyHash = "h"): KeyClaim => ({
  principal: "ana",
  key,
  route: "POST /api/things",
  bodyHash,
});
const done = { status: 202, body: { id: "made" } };

const claim = (claims: readonly (KeyClaim | null)[]) =>
  opened.db.transaction().execute((tx) => claimKeys(tx, claims));

/** A batch that answers its first claims with `with_`. */
const answer = (key: KeyClaim, with_: typeof done | null) =>
  opened.db.transaction().execute(async (tx) => {
    await claimKeys(tx, [key]);
    await storeAnswers(tx, [{ claim: key, answer: with_ }]);
  });

test("of a request sent twice in one batch, one does the work and the other gets its answer", async () => {
  expect(await claim([claimOf("a"), claimOf("b"), claimOf("a"), null])).toEqual([
    { kind: "first" },
    { kind: "first" },
    { kind: "twin", of: 0 },
    { kind: "first" },
  ]);
});

test("the same key with another request is refused, in the same batch and in a later one", async () => {
  expect(await claim([claimOf("c"), claimOf("c", "other")])).toEqual([
    { kind: "first" },
    { kind: "otherRequest" },
  ]);
  await answer(claimOf("d"), done);
  expect(await claim([claimOf("d", "other")])).toEqual([{ kind: "otherRequest" }]);
});

test("a repeat in a later batch gets the stored answer; a refused request's key is free again", async () => {
  await answer(claimOf("e"), done);
  await answer(claimOf("f"), null);
  expect(await claim([claimOf("e"), claimOf("f")])).toEqual([
    { kind: "repeat", answer: done },
    { kind: "first" },
  ]);
});

test("the same key on another route is refused, in the same batch and in a later one", async () => {
  const elsewhere = (key: string): KeyClaim => ({ ...claimOf(key), route: "POST /api/others" });
  expect(await claim([claimOf("g"), elsewhere("g")])).toEqual([{ kind: "first" }, { kind: "otherRequest" }]);
  await answer(claimOf("h"), done);
  expect(await claim([elsewhere("h")])).toEqual([{ kind: "otherRequest" }]);
});

test("the same key of another person is another key", async () => {
  await answer(claimOf("i"), done);
  const foreign = { ...claimOf("i"), principal: "leo" };
  expect(await claim([claimOf("j"), { ...claimOf("j"), principal: "leo" }, foreign])).toEqual([
    { kind: "first" },
    { kind: "first" },
    { kind: "first" },
  ]);
});

test("of 20 claims of one key in 20 transactions at once one does the work", async () => {
  const work = () =>
    opened.db.transaction().execute(async (tx) => {
      const [claimed] = await claimKeys(tx, [claimOf("k")]);
      if (claimed?.kind === "first") await storeAnswers(tx, [{ claim: claimOf("k"), answer: done }]);
      return claimed?.kind;
    });
  const kinds = await Promise.all(Array.from({ length: 20 }, work));
  expect(kinds.filter((kind) => kind === "first")).toHaveLength(1);
  expect(kinds.filter((kind) => kind === "repeat")).toHaveLength(19);
});
