import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { listSecretFiles, protectSecrets } from "./protect-secrets.ts";

const folder = mkdtempSync(join(tmpdir(), "caas-secrets-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("keys that others can read are closed to them, and that is said; others stay as they are [R18]", async () => {
  mkdirSync(join(folder, "subfolder"));
  const write = (name: string, mode: number) => {
    writeFileSync(join(folder, name), "a key");
    chmodSync(join(folder, name), mode);
  };
  write("root.pem", 0o644);
  write("signing.pem", 0o640);
  write("car-ca.key", 0o600);
  const paths = await listSecretFiles(folder);
  expect(paths).toHaveLength(3);
  const said = await protectSecrets(paths);
  expect(said.toSorted()).toEqual([
    expect.stringContaining("root.pem could be read by other users (mode 644)"),
    expect.stringContaining("signing.pem could be read by other users (mode 640)"),
  ]);
  expect(paths.map((path) => statSync(path).mode & 0o777)).toEqual([0o600, 0o600, 0o600]);
  expect(await protectSecrets(paths)).toEqual([]);
});

test.skipIf(process.platform !== "linux")(
  "a key that cannot be closed to others is refused with what to do [R18]",
  async () => {
    // The kernel's own files take no mode, whoever asks.
    await expect(protectSecrets(["/proc/self/limits"])).rejects.toThrow(
      /\/proc\/self\/limits can be read by other users \(mode 444\)/,
    );
  },
);

test("a folder that is not there yet holds no secrets", async () => {
  expect(await listSecretFiles(join(folder, "none"))).toEqual([]);
});
