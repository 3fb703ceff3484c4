import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { resultsFolder } from "../../bench/frame.ts";
import { root } from "../../test/house/source-files.ts";
import { compareFigure } from "./compare-figures.ts";
import { type FigureOfFile, figureFiles } from "./figure-files.ts";

const read = (document: string): string => readFileSync(join(root, document), "utf8");
const readResult = (file: string): unknown => JSON.parse(readFileSync(join(resultsFolder, file), "utf8"));

test("every figure that names a file is what the file holds", () => {
  const wrong = figureFiles.map((row) => compareFigure(row, read(row.document), readResult(row.file)));
  expect(wrong.filter((sentence) => sentence !== null)).toEqual([]);
});

test("every file that a document names is compared, and every file that is compared is named", () => {
  for (const document of ["README.md", "docs/measurements.md"]) {
    const named = [...read(document).matchAll(/bench\/results\/([\w-]+\.json)/g)].map(([, file]) => file);
    const compared = figureFiles.filter((row) => row.document === document).map(({ file }) => file);
    expect(new Set(named)).toEqual(new Set(compared));
  }
});

test.each([
  ["README.md", "## Five figures"],
  ["docs/measurements.md", "## Against the targets"],
])("in %s each row of %s names its command, and its file or that there is none", (document, heading) => {
  const [, section = ""] = read(document).split(`${heading}\n`);
  const rows = (section.split("\n## ")[0] ?? "").split("\n").filter((line) => line.startsWith("| "));
  const [head = "", , ...figures] = rows.map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  expect(figures.length).toBeGreaterThan(4);
  const bad = figures.filter((cells) => {
    const command = cells[head.indexOf("command")] ?? "";
    const file = /^\[file\]\((?:\.\.\/)?(bench\/results\/[\w-]+\.json)\)$/.exec(
      cells[head.indexOf("file")] ?? "",
    );
    const isCompared = figureFiles.some(
      (row) =>
        row.document === document &&
        `bench/results/${row.file}` === file?.[1] &&
        cells.join(" | ").includes(row.figure),
    );
    const isKept = file === null ? cells[head.indexOf("file")] === "none" : isCompared;
    return !/^`.+`|^the same$/.test(command) || !isKept;
  });
  expect(bad).toEqual([]);
});

describe("a figure is compared", () => {
  const row: FigureOfFile = {
    ...{ document: "README.md", line: "changes per second", figure: "4,035", file: "ota.json" },
    ...{ at: "numbers/rate", digits: 0 },
  };
  const text = "a line\n| changes per second, 5,000 cars | 4,035 | [file](4,036.json) |\n";
  const result = {
    numbers: { rate: 4035.4, rows: [{ load: "fan-in", ours: 7.25 }] },
    conditions: { cost: '{"broker":1200,"cars":800}' },
  };

  test.each<{ what: string; changed: Partial<FigureOfFile>; text?: string; says: string | null }>([
    { what: "as it is rounded", changed: {}, says: null },
    {
      what: "in a row of a list",
      changed: { at: "numbers/rows/fan-in/ours", figure: "7.3", digits: 1 },
      ...{ text: "changes per second: 7.3", says: null },
    },
    {
      what: "as a sum, in another unit",
      changed: { at: "conditions/cost/*", figure: "2", per: 1_000 },
      ...{ text: "changes per second, 2 ms", says: null },
    },
    {
      what: "and told when the file holds another",
      changed: { figure: "4,036" },
      says: "ota.json holds 4,035 at numbers/rate, not 4,036",
    },
    {
      what: "and told when the document tells another",
      ...{ changed: {}, text: "changes per second 14,035 or 4,035.5" },
      says: 'the line "changes per second" of README.md does not tell 4,035',
    },
    {
      what: "and told when the file has no such number",
      changed: { at: "numbers/none" },
      says: "ota.json has no number at numbers/none",
    },
    {
      what: "and told when the line is gone",
      changed: { line: "cars per second" },
      says: '0 lines of README.md hold "cars per second"',
    },
  ])("$what", ({ changed, text: other = text, says }) => {
    expect(compareFigure({ ...row, ...changed }, other, result)).toBe(says);
  });
});
