import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { explainLittleRoom, openDataFolder } from "./data-folder.ts";
import { StartRefused } from "./ports.ts";

const folder = mkdtempSync(join(tmpdir(), "caas-data-folder-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("a folder is made, and what is secret in it is closed to others [R18]", async () => {
  const dataDir = join(folder, "data");
  (await openDataFolder(dataDir)).unlock();
  expect(statSync(dataDir).mode & 0o777).toBe(0o711);
  mkdirSync(join(dataDir, "keys"), { mode: 0o755 });
  for (const name of ["secrets.json", "keys/root.pem"]) {
    writeFileSync(join(dataDir, name), "secret");
    chmodSync(join(dataDir, name), 0o644);
  }
  const { mended, unlock } = await openDataFolder(dataDir);
  expect(mended).toHaveLength(2);
  expect(statSync(join(dataDir, "keys/root.pem")).mode & 0o777).toBe(0o600);
  await expect(openDataFolder(dataDir)).rejects.toThrow(
    /is in use by process \d+ .*--data DIR names another/,
  );
  unlock();
});

test.each([
  [
    "a file system that takes no files",
    "/proc/caas",
    /\/proc\/caas cannot be used: .+ \(mkdir: E\w+\)\. --data DIR/,
  ],
  [
    "a place below a file",
    join(folder, "file", "data"),
    /cannot be used: something on the way to it is a file/,
  ],
  ["a file", join(folder, "file"), /cannot be used: there is a file of that name/],
])("%s is refused in a sentence [R18]", async (_what, dataDir, sentence) => {
  writeFileSync(join(folder, "file"), "");
  const refused: unknown = await openDataFolder(dataDir).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(StartRefused);
  expect(refused instanceof Error && refused.message).toMatch(sentence);
});

test("a lock that cannot be set aside is refused, instead of being tried forever [R18]", async () => {
  const dataDir = join(folder, "held");
  const lock = join(dataDir, "lock.json");
  // Of nobody, and not to be moved: what it would be called afterwards is a folder with something in it.
  mkdirSync(join(`${lock}.${process.pid}.abandoned`, "something"), { recursive: true });
  writeFileSync(lock, "half a lo");
  await expect(openDataFolder(dataDir)).rejects.toThrow(/cannot be used: there is a folder of that name/);
});

test("a disk without room is said with what is needed [R7]", () => {
  // The kernel's own file system never has any.
  expect(explainLittleRoom("/proc")).toMatch(
    /^The disk of \/proc has 0 MB left, and \d+ MB are needed\. Make room and start again: what was kept stays\./,
  );
  expect(explainLittleRoom(folder)).toBeNull();
  expect(explainLittleRoom(join(folder, "none"))).toBeNull();
});
