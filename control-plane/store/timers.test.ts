import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../test/servers/database.ts";
import { type OpenDatabase, openDatabase } from "./database.ts";
import { newId } from "./ids.ts";
import { createTimers, setTimers } from "./timers.ts";

let database: TestDatabase;
let opened: OpenDatabase;

beforeAll(async () => {
  database = await createTestDatabase("timers");
  opened = openDatabase(database.url, 2, () => undefined);
});
afterAll(async () => {
  await opened.close();
  await database.drop();
});

test("a deadline whose work fails stays for the next look; the others that are due are handled", async () => {
  const now = new Date("2026-03-02T09:00:00Z");
  const [failing, other, later] = [newId(), newId(), newId()];
  await opened.db.transaction().execute((tx) =>
    setTimers(tx, "reminder", [
      { subjectId: failing, dueAt: new Date(now.getTime() - 2) },
      { subjectId: other, dueAt: new Date(now.getTime() - 1) },
      { subjectId: later, dueAt: new Date(now.getTime() + 1) },
    ]),
  );
  const handled: string[] = [];
  let mended = false;
  const timers = createTimers({
    db: opened.db,
    clock: { now: () => now },
    handlers: [
      {
        kind: "reminder",
        async due(_tx, subjectId) {
          if (subjectId === failing && !mended) throw new Error("not yet");
          handled.push(subjectId);
        },
      },
    ],
    logger: pino({ level: "silent" }),
  });
  expect(await timers.runDue()).toBe(1);
  expect(handled).toEqual([other]);
  mended = true;
  expect(await timers.runDue()).toBe(1);
  expect(handled).toEqual([other, failing]);
  const left = await opened.db.selectFrom("timers").select("subject_id").execute();
  expect(left).toEqual([{ subject_id: later }]);
});
