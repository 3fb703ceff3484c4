import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import {
  activationAddedGuards,
  activationAdditions,
  vehicleAddedGuards,
  vehicleAdditions,
} from "@caas/control-plane/rules/additions.ts";
import { describe, expect, it } from "vitest";
import { renderTable } from "./markdown.ts";
import { printedDocuments } from "./printed-documents.ts";

const root = resolve(import.meta.dirname, "../..");

describe("printed documents", () => {
  it.each(printedDocuments)("$path is what `npm run docs` prints", async ({ path, render }) => {
    expect(await readFile(resolve(root, path), "utf8")).toBe(await render());
  });

  it("a bar inside a cell stays inside it", () => {
    expect(renderTable(["a", "b"], [["x|y", "z"]])).toBe("| a    | b   |\n| ---- | --- |\n| x\\|y | z   |");
  });
});

describe("docs/rules.md", () => {
  it("holds every arrow, dependency, edge, message, trigger and step of the specification, and every addition", async () => {
    const text = await readFile(resolve(root, "docs/rules.md"), "utf8");
    const counts = { VA: 16, SA: 17, DE: 12, CE: 9, NT: 15, ND: 9, AU: 18 };
    const added = {
      VX: vehicleAdditions.length,
      SX: activationAdditions.length,
      AG: Object.keys({ ...vehicleAddedGuards, ...activationAddedGuards }).length,
    };
    for (const [prefix, count] of Object.entries({ ...counts, ...added })) {
      const named = new Set(text.match(new RegExp(`\\b${prefix}\\d+\\b`, "g")));
      expect([prefix, named.size]).toEqual([prefix, count]);
    }
  });
});
