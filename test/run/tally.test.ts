import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeSkip, exitCodeOf, failSkipped, listSlowest, summarise, type Tally } from "./tally.ts";

const files = {
  "passes.test.js": `
    test("a passes", () => {});
    test("b passes", () => {});
    test("c is left out", (context) => context.skip("no Docker here"));
    test.skip("d is left out", () => {});
    test.todo("e is to come");`,
  "fails.test.js": `
    describe("group", () => { test("f fails", () => expect(1).toBe(2)); });
    describe("broken group", () => {
      beforeAll(() => { throw new Error("no server"); });
      test("g cannot run", () => {});
    });`,
  "broken.test.js": `throw new Error("cannot be loaded");`,
};

/** Runs vitest in a process of its own on `files` and returns what the reporter counted. */
function runTestFiles(): unknown {
  const folder = mkdtempSync(join(tmpdir(), "caas-tally-"));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const script = `
      const { startVitest } = await import(${JSON.stringify(import.meta.resolve("vitest/node"))});
      const { TallyReporter } = await import(${JSON.stringify(new URL("./tally.ts", import.meta.url).href)});
      const reporter = new TallyReporter();
      const options = { root: ${JSON.stringify(folder)}, config: false, watch: false, globals: true, reporters: [reporter] };
      await (await startVitest([], options)).close();
      const timed = reporter.times.filter(({ seconds }) => seconds > 0).map(({ file }) => file);
      console.log("TALLY" + JSON.stringify({ ...reporter.tally, timed }));
      process.exit(0);`;
    const output = execFileSync(process.execPath, ["--input-type=module", "--eval", script], {
      encoding: "utf8",
      cwd: folder,
      stdio: ["ignore", "pipe", "ignore"],
    });
    return JSON.parse(output.slice(output.indexOf("TALLY") + "TALLY".length));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("a run counts what passed and names every failure, and every skipped test with its reason", () => {
  const tally = runTestFiles();
  expect(tally).toMatchObject({ passed: 2 });
  const { failed, skipped, timed } = JSON.parse(JSON.stringify(tally));
  expect(timed.toSorted()).toEqual(["fails.test.js", "passes.test.js"]);
  expect(failed.toSorted()).toEqual([
    "broken.test.js (outside its tests): cannot be loaded",
    "fails.test.js > broken group (outside its tests): no server",
    "fails.test.js > group > f fails",
  ]);
  expect(skipped.map(describeSkip).toSorted()).toEqual([
    "fails.test.js > broken group > g cannot run: its set-up failed",
    "passes.test.js > c is left out: no Docker here",
    "passes.test.js > d is left out: no reason given",
    "passes.test.js > e is to come: to be written",
  ]);
});

test("the slowest files come first, with their seconds", () => {
  const times = [
    { file: "a.test.ts", seconds: 0.04 },
    { file: "b.test.ts", seconds: 123.45 },
    { file: "c.test.ts", seconds: 6 },
  ];
  expect(listSlowest(times, 2)).toEqual([" 123.5 s  b.test.ts", "   6.0 s  c.test.ts"]);
});

test.each<{ what: string; tally: Tally; testsPassed: number; line: string; code: 0 | 1 }>([
  {
    what: "all passed",
    tally: { passed: 12, failed: [], skipped: [] },
    testsPassed: 10,
    line: "12 passed, 0 failed, 0 skipped",
    code: 0,
  },
  {
    what: "one was skipped",
    tally: { passed: 12, failed: [], skipped: [{ file: "a.test.ts", title: "a", why: "why" }] },
    testsPassed: 10,
    line: "12 passed, 0 failed, 1 skipped",
    code: 0,
  },
  {
    what: "one failed",
    tally: { passed: 12, failed: ["a"], skipped: [] },
    testsPassed: 10,
    line: "12 passed, 1 failed, 0 skipped",
    code: 1,
  },
  {
    what: "only the checks passed",
    tally: { passed: 2, failed: [], skipped: [] },
    testsPassed: 0,
    line: "2 passed, 0 failed, 0 skipped",
    code: 1,
  },
])("$what: the last line is '$line' and the exit code $code", ({ tally, testsPassed, line, code }) => {
  expect(summarise(tally)).toBe(line);
  expect(exitCodeOf(tally, testsPassed)).toBe(code);
});

test("a skip that was not expected counts as failed, and fails the run", () => {
  const [docker, root] = ["needs Docker", "needs root"].map((title) => ({
    file: "a.test.ts",
    title,
    why: "why",
  }));
  if (docker === undefined || root === undefined) throw new Error("there are two");
  const tally: Tally = { passed: 12, failed: [], skipped: [docker, root] };
  failSkipped(tally, [docker]);
  expect(summarise(tally)).toBe("12 passed, 1 failed, 1 skipped");
  expect(tally.failed).toEqual(["a.test.ts > needs Docker: why (skipped, which was not expected)"]);
  expect(exitCodeOf(tally, 10)).toBe(1);
});
