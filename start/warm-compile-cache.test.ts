import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { warmCompileCache } from "./warm-compile-cache.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "caas-warm-test-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("the first time the parts' code is compiled and kept, and after that nothing is done", {
  timeout: 60_000,
}, async () => {
  await warmCompileCache(folder);
  const compiled = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) =>
    file.isFile(),
  );
  // Our own sources alone are some hundreds.
  expect(compiled.length).toBeGreaterThan(400);
  const mark = join(folder, `warm-${process.version}`);
  const { mtimeMs } = statSync(mark);
  for (const name of readdirSync(folder))
    if (!name.startsWith("warm-")) rmSync(join(folder, name), { recursive: true });
  await warmCompileCache(folder);
  expect(statSync(mark).mtimeMs).toBe(mtimeMs);
  expect(readdirSync(folder)).toEqual([`warm-${process.version}`]);
});

test("a folder that cannot be one is no reason not to start", async () => {
  const file = join(folder, "a-file");
  writeFileSync(file, "");
  await expect(warmCompileCache(join(file, "below"))).resolves.toBeUndefined();
});
