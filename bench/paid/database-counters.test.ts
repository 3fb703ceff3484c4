import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { withClient } from "../../lab/database.ts";
import {
  type DatabaseCounters,
  type DatabaseWork,
  type KeptStatements,
  readDatabaseCounters,
  startCountingPostgres,
  workBetween,
} from "./database-counters.ts";

const read = (statements: KeptStatements | null, commits = 40, rollbacks = 2): DatabaseCounters => ({
  ...{ commits, rollbacks, statements },
});
const kept: KeptStatements = { calls: 1_000, forgotten: 0, since: "2026-11-29 00:17:23+00" };

test.each<{ what: string; before: DatabaseCounters; after: DatabaseCounters; work: DatabaseWork }>([
  {
    what: "all that clients sent, without the two statements of the readings themselves",
    before: read(kept),
    after: read({ ...kept, calls: 2_445 }, 560, 5),
    work: { commits: 520, rollbacks: 3, statements: 1_443 },
  },
  {
    what: "no number where statements were forgotten, with their calls",
    before: read(kept),
    after: read({ ...kept, calls: 1_190, forgotten: 1 }),
    work: { commits: 0, rollbacks: 0, statements: "the server forgot statements" },
  },
  {
    what: "no number where the server was started anew in between",
    before: read(kept),
    after: read({ ...kept, calls: 1_190, since: "2026-11-29 00:18:00+00" }),
    work: { commits: 0, rollbacks: 0, statements: "the server began to count anew" },
  },
  {
    what: "no number where the server keeps none",
    before: read(null),
    after: read(null, 41),
    work: { commits: 1, rollbacks: 0, statements: "not counted here" },
  },
])("statements between two readings: $what", ({ before, after, work }) => {
  expect(workBetween(before, after)).toEqual(work);
});

describe("a server that counts", () => {
  let folder: string;
  let closing: AsyncDisposableStack;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "caas-counting-"));
    closing = new AsyncDisposableStack();
    closing.defer(() => rmSync(folder, { recursive: true, force: true }));
  });
  afterEach(() => closing.disposeAsync());

  async function statementsOf(
    url: string,
    work: readonly (string | { name: string; text: string })[],
  ): Promise<number | string> {
    const before = await readDatabaseCounters(url);
    await withClient(url, async (client) => {
      for (const text of work) await client.query(text);
    });
    return workBetween(before, await readDatabaseCounters(url)).statements;
  }

  test("counts each statement that a client sends once, prepared ones and begin and commit too", async () => {
    const { url, stop } = await startCountingPostgres(folder, () => undefined);
    closing.defer(stop);
    const prepared = { name: "one", text: "select 1" };
    expect(await statementsOf(url, ["begin", prepared, prepared, "commit", "select 2"])).toBe(5);
    expect(await statementsOf(url, ["select 2", "select 3", "select 3"])).toBe(3);
    expect(await statementsOf(url, [])).toBe(0);
  });

  test("counts what a deferred trigger runs at the commit as if a client had sent it, and not what a statement runs within itself", async () => {
    const { url, stop } = await startCountingPostgres(folder, () => undefined);
    closing.defer(stop);
    await withClient(url, async (client) => {
      await client.query("create table at_commit (id int)");
      await client.query("create table within (id int)");
      await client.query(
        "create function check_row() returns trigger language plpgsql as $$ begin perform count(*) from pg_class; return null; end $$",
      );
      await client.query(
        "create constraint trigger late after insert on at_commit deferrable initially deferred for each row execute function check_row()",
      );
      await client.query(
        "create trigger soon after insert on within for each row execute function check_row()",
      );
    });
    const three = "select generate_series(1, 3)";
    expect(await statementsOf(url, [`insert into at_commit ${three}`])).toBe(1 + 3);
    expect(await statementsOf(url, [`insert into within ${three}`])).toBe(1);
  });

  test("gives no number when more texts came than it keeps", async () => {
    const fewest = 100;
    const { url, stop } = await startCountingPostgres(folder, () => undefined, fewest);
    closing.defer(stop);
    const texts = Array.from({ length: 2 * fewest }, (_, index) => `select ${"1, ".repeat(index)} 1`);
    expect(await statementsOf(url, texts)).toBe("the server forgot statements");
  });
});
