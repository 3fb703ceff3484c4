import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { keySetSchema } from "@caas/contract/key-set.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";

const program = fileURLToPath(new URL("keys.ts", import.meta.url));
let parent: string;
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "caas-keys-program-"));
});
afterAll(() => rm(parent, { recursive: true }));

type Ended = { code: number; stdout: string; stderr: string };

function run(args: readonly string[], keysDir: string): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, ...args],
      { env: { ...process.env, KEYS_DIR: keysDir } },
      (error, stdout, stderr) =>
        resolve({
          code: error === null ? 0 : typeof error.code === "number" ? error.code : -1,
          stdout,
          stderr,
        }),
    );
  });
}

const printed = keySetSchema.extend({ current: z.string() });

test("init, rotate, revoke and show work on one folder, and print the set in force", async () => {
  const folder = join(parent, "keys");
  const read = async (...args: string[]) => printed.parse(JSON.parse((await run(args, folder)).stdout));
  const first = await read("init");
  expect([first.version, first.keys.length]).toEqual([1, 1]);
  expect(await read("init")).toEqual(first);
  const rotated = await read("rotate");
  expect([rotated.version, rotated.keys.map(({ kid }) => kid)]).toEqual([
    2,
    [rotated.current, first.current],
  ]);
  const revoked = await read("revoke", first.current);
  expect([revoked.version, revoked.keys.map(({ kid }) => kid)]).toEqual([3, [rotated.current]]);
  expect(await read("show")).toEqual(revoked);
});

test.each([
  ["no command", [], "say one of"],
  ["an unknown command", ["burn"], "say one of"],
  ["a revocation of nothing", ["revoke"], "say one of"],
  ["a word too many", ["rotate", "now"], "too many words"],
])("%s is a usage error", async (_, args, sentence) => {
  expect(await run(args, join(parent, "none"))).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(sentence),
  });
});

test("without KEYS_DIR, and with one that holds no keys, it says so", async () => {
  expect(await run(["show"], "")).toMatchObject({ code: 2, stderr: expect.stringContaining("KEYS_DIR") });
  expect(await run(["rotate"], join(parent, "empty"))).toMatchObject({ code: 1 });
});

test("--help names every command and variable", async () => {
  const { stdout } = await run(["--help"], "");
  for (const word of ["init", "rotate", "revoke KID", "show", "KEYS_DIR", "CAAS_BUSINESS_TIME"])
    expect(stdout).toContain(word);
});
