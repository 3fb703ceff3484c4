import { readdir, readFile } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { parseArgs } from "node:util";
import { readTitles, type Title } from "./read-titles.ts";
import { type Answer, listIds, type Requirement, readRequirements } from "./requirement-ids.ts";

export type TestReference = { file: string; title: string };

export type Coverage = {
  requirements: readonly (Requirement & { tests: readonly TestReference[] })[];
  /** Ids in test titles that docs/requirements.md does not have: typing errors, which would prove nothing. */
  unknown: readonly (TestReference & { id: string })[];
  testFiles: number;
};

const help = `Prints every requirement of docs/requirements.md: where the product does it, where it is seen, and which tests name it.

usage: npm run requirements -- [options]

  --unnamed   only the requirements no test names
  --json      one JSON object as the last line of the output
  --help      this text

Ends with 1 when a test names an id that does not exist, otherwise with 0.
An id in a title is a claim; the reader judges whether the test proves it.
`;

const skippedFolders = new Set(["node_modules", ".git", "data", "coverage", "dist"]);

/** Reads docs/requirements.md and every *.test.ts below `root`; nothing outside it. */
export async function collectCoverage(root: string): Promise<Coverage> {
  const requirements = readRequirements(await readFile(join(root, "docs/requirements.md"), "utf8"));
  const tests = new Map<string, TestReference[]>(requirements.map(({ id }) => [id, []]));
  const unknown: (TestReference & { id: string })[] = [];
  const files = await listTestFiles(root);
  for (const path of files) {
    const file = relative(root, path).split(sep).join("/");
    for (const { id, title } of readTitles(await readFile(path, "utf8"), file).flatMap(listClaims)) {
      const known = tests.get(id);
      if (known) known.push({ file, title });
      else unknown.push({ id, file, title });
    }
  }
  return {
    requirements: requirements.map((row) => ({ ...row, tests: tests.get(row.id) ?? [] })),
    unknown,
    testFiles: files.length,
  };
}

/** The ids of a title as it is written, and of each row of its table those that the row adds. */
function listClaims({ written, filled }: Title): readonly { id: string; title: string }[] {
  const own = listIds(written);
  const added = filled.flatMap((title) =>
    listIds(title).flatMap((id) => (own.includes(id) ? [] : [{ id, title }])),
  );
  return [...own.map((id) => ({ id, title: written })), ...added];
}

/** The report for people: each id with its tests, then unnamed and unknown ids, then totals. */
export function renderCoverage(coverage: Coverage, onlyUnnamed: boolean): string {
  const lines: string[] = [];
  let section = "";
  for (const row of coverage.requirements) {
    if (onlyUnnamed && row.tests.length > 0) continue;
    if (row.section !== section) {
      section = row.section;
      lines.push("", section);
    }
    lines.push(`  ${row.id.padEnd(5)} ${row.tests.length === 0 ? "NO TEST  " : ""}${row.text}`);
    lines.push(...describeAnswer(row.answer).map((line) => `          ${line}`));
    for (const { file, title } of row.tests) lines.push(`          ${file}: ${title}`);
  }
  if (coverage.unknown.length > 0) lines.push("", "Unknown ids");
  for (const { id, file, title } of coverage.unknown) lines.push(`  ${id.padEnd(5)} ${file}: ${title}`);
  const { total, done, inPart, notBuilt, named, unnamed } = countCoverage(coverage);
  lines.push(
    "",
    `${done} of ${total} requirements are done, ${inPart.length} in part, ${notBuilt.length} are not built.`,
    `${named} of ${total} requirements are named by a test in ${coverage.testFiles} test files; ${unnamed.length} are not.`,
  );
  return `${lines.join("\n")}\n`;
}

/** Where the product does it, and where it is seen. */
function describeAnswer(answer: Answer | null): readonly string[] {
  if (answer === null) return ["NO ANSWER where it is done"];
  if (answer.kind === "notBuilt") return ["not built"];
  const files = answer.files.join(", ");
  if (answer.kind === "done") return [`done in ${files}`, `seen: ${answer.seen}`];
  return [`in part in ${files}`, `seen: ${answer.seen}`, `missing: ${answer.missing}`];
}

/** Totals, as `--json` prints them. */
export function countCoverage(coverage: Coverage) {
  const unnamed = coverage.requirements.filter((row) => row.tests.length === 0).map((row) => row.id);
  const total = coverage.requirements.length;
  const idsOf = (kind: Answer["kind"]) =>
    coverage.requirements.filter(({ answer }) => answer?.kind === kind).map(({ id }) => id);
  return {
    total,
    done: idsOf("done").length,
    inPart: idsOf("inPart"),
    notBuilt: idsOf("notBuilt"),
    named: total - unnamed.length,
    unnamed,
    unknown: coverage.unknown.map(({ id, file }) => ({ id, file })),
    testFiles: coverage.testFiles,
  };
}

/** Every *.test.ts below `folder`, in order. */
export async function listTestFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    // Symbolic links are not followed: the workspaces' would be read twice, others may lead out of the repository.
    if (entry.isDirectory() && !skippedFolders.has(entry.name) && !entry.name.startsWith(".")) {
      files.push(...(await listTestFiles(join(folder, entry.name))));
    } else if (entry.isFile() && entry.name.endsWith(".test.ts")) {
      files.push(join(folder, entry.name));
    }
  }
  return files.sort();
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { help: { type: "boolean" }, json: { type: "boolean" }, unnamed: { type: "boolean" } },
  });
  if (values.help) {
    process.stdout.write(help);
  } else {
    const coverage = await collectCoverage(resolve(import.meta.dirname, "../.."));
    process.stdout.write(renderCoverage(coverage, values.unnamed ?? false));
    if (values.json) {
      const tests = Object.fromEntries(
        coverage.requirements.map((row) => [row.id, row.tests.map(({ file, title }) => `${file}: ${title}`)]),
      );
      const answers = Object.fromEntries(coverage.requirements.map(({ id, answer }) => [id, answer]));
      process.stdout.write(`${JSON.stringify({ ...countCoverage(coverage), answers, tests })}\n`);
    }
    if (coverage.unknown.length > 0) process.exitCode = 1;
  }
}
