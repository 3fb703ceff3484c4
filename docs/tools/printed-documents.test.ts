import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
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
  it("holds every arrow, dependency, edge, message, trigger and step of the specification", async () => {
    const text = await readFile(resolve(root, "docs/rules.md"), "utf8");
    const counts = { VA: 16, SA: 17, DE: 12, CE: 9, NT: 15, ND: 9, AU: 18, VX: 12, SX: 15, AG: 9 };
    for (const [prefix, count] of Object.entries(counts)) {
      const named = new Set(text.match(new RegExp(`\\b${prefix}\\d+\\b`, "g")));
      expect([prefix, named.size]).toEqual([prefix, count]);
    }
  });
});
