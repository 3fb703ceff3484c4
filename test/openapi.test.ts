import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { lint, loadConfig } from "@redocly/openapi-core";
import spectral from "@stoplight/spectral-core";
import rulesets from "@stoplight/spectral-rulesets";
import { expect, test } from "vitest";

// The interface's description, as the linters that integrators use judge it, with their recommended rules.

const root = join(import.meta.dirname, "..");
const path = join(root, "docs/openapi.json");

test("redocly's recommended rules find nothing in the interface's description [N18]", async () => {
  const config = await loadConfig({ configPath: join(root, "redocly.yaml") });
  const problems = await lint({ ref: path, config });
  expect(
    problems
      .filter(({ ignored }) => ignored !== true)
      .map(({ ruleId, message, location }) => `${ruleId}: ${message} ${location[0]?.pointer ?? ""}`),
  ).toEqual([]);
});

test("spectral's recommended rules find nothing in the interface's description [N18]", async () => {
  const linter = new spectral.Spectral();
  linter.setRuleset(new spectral.Ruleset({ extends: [rulesets.oas] }));
  const problems = await linter.run(await readFile(path, "utf8"));
  expect(problems.map(({ code, message, path: at }) => `${code}: ${message} ${at.join("/")}`)).toEqual([]);
});
