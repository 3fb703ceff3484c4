import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FolderInUse, lockFolder } from "./folder-lock.ts";
import { identifyThisProcess } from "./process-identity.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "caas-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function leaveLock(changes: object, ageMs = 0): void {
  const path = join(folder, "lock.json");
  const lock = { ...identifyThisProcess(), lockedAt: "2026-01-02T03:04:05.000Z", ...changes };
  writeFileSync(path, JSON.stringify(lock));
  const modified = new Date(Date.now() - ageMs);
  utimesSync(path, modified, modified);
}

test("a second holder is refused by a sentence that names folder and process", () => {
  const unlock = lockFolder(folder);
  expect(() => lockFolder(folder)).toThrow(FolderInUse);
  expect(() => lockFolder(folder)).toThrow(
    `The data folder ${folder} is in use by process ${process.pid} on `,
  );
  unlock();
});

test("once given free, the folder can be taken again and nothing is left in it", () => {
  lockFolder(folder)();
  lockFolder(folder)();
  expect(readdirSync(folder)).toEqual([]);
});

const longAgoMs = 3_600_000;
test.each([
  { lock: "of a process that ended", changes: { pid: 2 ** 22 + 1 }, ageMs: 0, taken: true },
  { lock: "whose number now belongs to another process", changes: { startMark: "1" }, ageMs: 0, taken: true },
  { lock: "from before the machine's last boot", changes: { bootId: "another boot" }, ageMs: 0, taken: true },
  {
    lock: "of another machine that lately showed it lives",
    changes: { host: "elsewhere" },
    ageMs: 1_000,
    taken: false,
  },
  {
    lock: "of another machine that is silent",
    changes: { host: "elsewhere" },
    ageMs: longAgoMs,
    taken: true,
  },
  { lock: "of a live process, however old", changes: {}, ageMs: longAgoMs, taken: false },
  { lock: "that is unreadable", changes: { pid: "no number" }, ageMs: 0, taken: true },
])("a lock $lock is taken over: $taken", ({ changes, ageMs, taken }) => {
  leaveLock(changes, ageMs);
  if (!taken) {
    expect(() => lockFolder(folder)).toThrow(FolderInUse);
    return;
  }
  const unlock = lockFolder(folder);
  expect(JSON.parse(readFileSync(join(folder, "lock.json"), "utf8"))).toMatchObject(identifyThisProcess());
  unlock();
  expect(readdirSync(folder)).toEqual([]);
});

test("giving free does not take away a lock that somebody else holds by now", () => {
  const unlock = lockFolder(folder);
  leaveLock({ host: "elsewhere" });
  unlock();
  expect(readdirSync(folder)).toEqual(["lock.json"]);
});
