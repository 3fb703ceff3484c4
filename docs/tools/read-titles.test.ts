import { describe, expect, it } from "vitest";
import { readTitles } from "./read-titles.ts";

// The sources below are text: this file is itself read for titles, and its examples are no claims.

const written = (source: string) => readTitles(source).map((title) => title.written);
const filled = (source: string) => readTitles(source).flatMap((title) => title.filled);

describe("titles of tests that run", () => {
  it("are found behind chains, conditions, tables and line breaks", () => {
    const source = [
      `describe("one \\"quoted\\"", () => {`,
      `  it.concurrent('two', () => {});`,
      "  it.each([[1, f(g(')'))]])(\n    `three`, () => {});",
      '  it.each`a | b`("four", () => {});',
      `  test.runIf(process.platform === "linux")("five", { timeout: 1 }, () => {});`,
      `  it("about " + subject, () => {});`,
      `  unit("no test");`,
      `  it(name, () => {});`,
      `  it(\`six of \${name}\`, () => {});`,
      `});`,
    ].join("\n");
    expect(written(source)).toEqual(['one "quoted"', "two", "three", "four", "five", "six of …"]);
  });

  const unrun: [string, string][] = [
    ["skipped", `it.skip("t", () => {});`],
    ["to come", `it.todo("t");`],
    ["of a skipped table", `it.skip.each([["row"]])("%s", () => {});`],
    ["of a skipped table, the other way round", `it.each([["row"]]).skip("%s", () => {});`],
    ["inside a skipped group", `describe.skip("g", () => { describe("h", () => { it("t", () => {}); }); });`],
    ["commented out", `  // it("t", () => {});`],
    ["commented out in a block", `/* it("t", () => {});\nit("u") */`],
    ["commented out behind code", `run(); // it("t", () => {});`],
    ["inside a string", 'const text = `it("t", () => {})`;'],
  ];
  it.each(unrun)("are none that is %s", (_what, source) => {
    expect(readTitles(source)).toEqual([]);
    expect(written(`${source}\nit("runs: https://example.com", () => {});`)).toEqual([
      "runs: https://example.com",
    ]);
  });
});

describe("titles of a table's rows", () => {
  const substituted: [string, string, string[]][] = [
    ["by %s in turn", `it.each([["a", 1, "c"], ["d", 2, "f"]])("%s, %i, %s")`, ["a, …, c", "d, …, f"]],
    ["by name", `it.each([{ id: "a", more: "b" }])("$id with $other")`, ["a with $other"]],
    ["of rows that are no arrays", `it.each(["a", "b"])("of %s")`, ["of a", "of b"]],
    ["of rows under a name", `const rows: T[] = [["a"]]; it.each(rows)("%s")`, ["a"]],
    ["of rows with a type", `it.each([["a"]] as const)("%s")`, ["a"]],
    ["for `for`", `test.for([["a"]])("%s")`, ["a"]],
    ["of a group", `describe.each([["a"]])("%s", () => {})`, ["a"]],
  ];
  it.each(substituted)("hold the row's strings %s", (_what, source, titles) => {
    expect(filled(source)).toEqual(titles);
  });

  const unread: [string, string, string[]][] = [
    ["that the title does not name", `it.each([["a", "b"]])("%s")`, ["a"]],
    ["that no title names", `it.each([["a", "b"]])("plain")`, ["plain"]],
    ["of computed rows", `it.each(rows.filter(Boolean))("%s [$id]")`, []],
    ["of rows that another file writes out", `it.each(imported)("%s")`, []],
    ["of a list that is no table", `const rows = [["a"]]; it("plain", () => {})`, []],
  ];
  it.each(unread)("hold no string %s", (_what, source, titles) => {
    expect(filled(source)).toEqual(titles);
  });
});
