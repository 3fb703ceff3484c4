import { readFile } from "node:fs/promises";
import { relative, resolve, sep } from "node:path";
import { fieldReports } from "./field-reports.ts";
import { renderTable } from "./markdown.ts";
import { listTestFiles } from "./print-requirements.ts";
import { readTitles } from "./read-titles.ts";

const root = resolve(import.meta.dirname, "../..");

/** The tests that hold each id: those that run and whose title ends with it in square brackets. */
export async function findReportTests(): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, string[]>();
  for (const path of await listTestFiles(root)) {
    const titles = readTitles(await readFile(path, "utf8"), path).flatMap(({ written, filled }) => [
      written,
      ...filled,
    ]);
    const ids = titles.flatMap((title) =>
      [...(/\[([^[\]]*)\]$/.exec(title)?.[1] ?? "").matchAll(/\b[FNR]\d{1,2}\b/g)].map(([id]) => id),
    );
    for (const id of new Set(ids))
      found.set(id, [...(found.get(id) ?? []), relative(root, path).split(sep).join("/")]);
  }
  return found;
}

/** docs/field-reports.md. */
export async function renderFieldReports(): Promise<string> {
  const tests = await findReportTests();
  const linked = (files: readonly string[]) =>
    files.map((file) => `[${file.split("/").at(-1)}](../${file})`).join("<br>");
  const rows = fieldReports.map(({ id, report, mended }) => [
    id,
    report,
    linked(tests.get(id) ?? []),
    linked(mended),
  ]);
  return `# Field reports

What was reported of comparable systems, and what newcomers, dealerships, operators and attackers tried here, with the tests that hold the right behaviour and the places where it was mended. A test's title ends with the id. Printed by \`npm run docs\` from [tools/field-reports.ts](tools/field-reports.ts).

${renderTable(["id", "reported", "held by", "mended in"], rows)}
`;
}
