import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSecrets } from "./secrets.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "caas-secrets-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("secrets are made on the first start, for us alone, and are the same on the next", () => {
  const made = openSecrets(folder);
  expect(statSync(join(folder, "secrets.json")).mode & 0o777).toBe(0o600);
  expect(openSecrets(folder)).toEqual(made);
  const { staffPasswords, ...others } = made;
  const all = [...Object.values(staffPasswords), ...Object.values(others)];
  expect(new Set(all).size).toBe(all.length);
});

test.each([
  { what: "half a file", content: '{"SESSION_SECRET":', says: /cannot be read/ },
  { what: "a shortened secret", content: '{"SESSION_SECRET":"short"}', says: /SESSION_SECRET.*Restore it/ },
])("$what is refused and not replaced", ({ content, says }) => {
  const path = join(folder, "secrets.json");
  writeFileSync(path, content);
  expect(() => openSecrets(folder)).toThrow(says);
  expect(() => openSecrets(folder)).toThrow(path);
});
