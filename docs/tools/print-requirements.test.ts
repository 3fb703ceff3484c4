import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { collectCoverage, countCoverage, renderCoverage, type TestReference } from "./print-requirements.ts";
import { type Answer, listIds, readRequirements } from "./requirement-ids.ts";

const root = resolve(import.meta.dirname, "../..");

/** Written in pieces: this file is itself read by the tool, and its examples are no claims. */
const family = { va: "VA", vs: "VS", sa: "SA" };

describe("docs/requirements.md", () => {
  it("holds 252 ids, none twice, in gapless families", async () => {
    const ids = readRequirements(await readFile(join(root, "docs/requirements.md"), "utf8")).map(
      ({ id }) => id,
    );
    expect(ids).toHaveLength(252);
    expect(new Set(ids).size).toBe(252);
    const sizes = new Map<string, number[]>();
    for (const id of ids) {
      const name = id.slice(0, 2);
      sizes.set(name, [...(sizes.get(name) ?? []), Number(id.slice(2))]);
    }
    for (const numbers of sizes.values()) expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    expect(Object.fromEntries([...sizes].map(([name, numbers]) => [name, numbers.length]))).toEqual({
      DO: 22,
      LF: 15,
      SY: 25,
      AU: 18,
      VS: 12,
      VA: 16,
      SS: 12,
      SA: 17,
      ND: 17,
      NT: 15,
      DE: 12,
      FA: 16,
      ES: 11,
      DA: 26,
      ME: 10,
      HI: 8,
    });
  });
});

describe("the answers of docs/requirements.md", async () => {
  const { requirements } = await collectCoverage(root);
  const given = requirements.flatMap(({ id, answer }) =>
    answer === null || answer.kind === "notBuilt" ? [] : [{ id, ...answer }],
  );

  it("every row says where it is done and where it is seen, what is missing, or that it is not built", () => {
    expect(requirements.filter(({ answer }) => answer === null).map(({ id }) => id)).toEqual([]);
  });

  it("every file that a row names exists, and is no test", () => {
    const named = given.flatMap(({ id, files }) => files.map((file) => ({ id, file })));
    expect(named.filter(({ file }) => file.endsWith(".test.ts") || !existsSync(join(root, file)))).toEqual(
      [],
    );
  });

  it("every resource and every metric where a row is seen exists", async () => {
    const { paths } = z
      .object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) })
      .parse(JSON.parse(await readFile(join(root, "docs/openapi.json"), "utf8")));
    const metrics = await readFile(join(root, "dashboards/README.md"), "utf8");
    const unknown = given.flatMap(({ id, seen }) =>
      [...seen.matchAll(/`((?:(GET|POST) )?(\/\S+)|caas_\w+)`/g)].flatMap(([, name = "", method, path]) => {
        const isThere =
          path === undefined
            ? metrics.includes(`| \`${name}\``)
            : Object.hasOwn(paths[path] ?? {}, String(method).toLowerCase());
        return isThere ? [] : [`${id}: ${name}`];
      }),
    );
    expect(unknown).toEqual([]);
  });

  it("a row that is done is named by a test where it is seen, and a row that is not, or only in part, by none", () => {
    const isSeenThere = ({ file }: TestReference) => !file.startsWith("control-plane/rules/");
    const wrong = requirements.filter(({ answer, tests }) =>
      answer?.kind === "done" ? !tests.some(isSeenThere) : tests.length > 0,
    );
    expect(wrong.map(({ id, answer, tests }) => ({ id, is: answer?.kind, tests }))).toEqual([]);
  });

  it("a test of a stand-in alone proves nothing of the platform, and names no row", () => {
    const ofStandIns = requirements.flatMap(({ id, tests }) =>
      tests.filter(({ file }) => file.startsWith("simulator/stand-ins/")).map((test) => ({ id, ...test })),
    );
    expect(ofStandIns).toEqual([]);
  });
});

describe("reading a row's answer", () => {
  const { va } = family;
  const answerOf = (row: string) => readRequirements(`| ${va}1 | One. |${row}`)[0]?.answer;
  const files = ["a/b.ts", "c.ts"];
  const links = "[b.ts](../a/b.ts), [c.ts](../c.ts)";

  const answers: [string, string, Answer | null][] = [
    ["done", ` ${links} | \`GET /b\`; a mailbox |`, { kind: "done", files, seen: "`GET /b`; a mailbox" }],
    [
      "in part",
      ` in part: ${links} | a mailbox; missing: push |`,
      { kind: "inPart", files, seen: "a mailbox", missing: "push" },
    ],
    ["not built", " not built | |", { kind: "notBuilt" }],
    ["none: no columns", "", null],
    ["none: empty columns", " | |", null],
    ["none: a file that is no link", " a/b.ts | a mailbox |", null],
    ["none: seen nowhere", ` ${links} | |`, null],
    ["none: in part, and nothing is missing", ` in part: ${links} | a mailbox |`, null],
    ["none: something is missing, and not in part", ` ${links} | a mailbox; missing: push |`, null],
    ["none: not built, and seen", " not built | a mailbox |", null],
  ];
  it.each(answers)("it is %s", (_what, row, answer) => {
    expect(answerOf(row)).toEqual(answer);
  });
});

describe("reading ids", () => {
  const { va, vs, sa } = family;
  const read: [string, string[]][] = [
    [`${va}5: the car is registered`, [`${va}5`]],
    [`${va}5, ${sa}2 and ${va}5 again`, [`${va}5`, `${sa}2`]],
    [`${vs}1–${vs}3: states`, [`${vs}1`, `${vs}2`, `${vs}3`]],
    [`${vs}1-3: states`, [`${vs}1`, `${vs}2`, `${vs}3`]],
    [`${vs}1 to ${vs}3`, [`${vs}1`, `${vs}2`, `${vs}3`]],
    [`${vs}9…${vs}11`, [`${vs}9`, `${vs}10`, `${vs}11`]],
    [`${va}5 - 2 cars`, [`${va}5`]],
    [`${va}5–${sa}6`, [`${va}5`, `${sa}6`]],
    [`${vs}3–${vs}1`, [`${vs}1`, `${vs}3`]],
    [`X${va}5, ${va}5x, ${va}256 and CE3 are none`, []],
  ];
  it.each(read)("%s", (title, ids) => {
    expect([...listIds(title)].sort()).toEqual([...ids].sort());
  });
});

describe("npm run requirements", () => {
  const folders: string[] = [];
  afterEach(async () => {
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
  });

  async function layRepository(titles: readonly string[]): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "requirements-"));
    folders.push(folder);
    await mkdir(join(folder, "docs"));
    await mkdir(join(folder, "node_modules"));
    const { va } = family;
    await writeFile(
      join(folder, "docs/requirements.md"),
      [
        "## Arrows\n\n| id | requirement | done in | seen |\n|---|---|---|---|",
        `| ${va}1 | One. | [one.ts](../one.ts) | a mailbox |`,
        `| ${va}2 | Two. | not built | |\n`,
      ].join("\n"),
    );
    const source = titles.map((title) => `${"it"}(${JSON.stringify(title)}, () => {});`).join("\n");
    await writeFile(join(folder, "some.test.ts"), source);
    await writeFile(join(folder, "node_modules/foreign.test.ts"), `${"it"}("${va}2")`);
    return folder;
  }

  it("says which tests name an id and which ids none names", async () => {
    const { va } = family;
    const coverage = await collectCoverage(await layRepository([`${va}1: works`]));
    expect(countCoverage(coverage)).toEqual({
      total: 2,
      done: 1,
      inPart: [],
      notBuilt: [`${va}2`],
      named: 1,
      unnamed: [`${va}2`],
      unknown: [],
      testFiles: 1,
    });
    const text = renderCoverage(coverage, false);
    expect(text).toContain(`some.test.ts: ${va}1: works`);
    expect(text).toContain("done in one.ts\n          seen: a mailbox");
    expect(text).toMatch(/NO TEST {2}Two\.\n {10}not built/);
    expect(text).toContain("1 of 2 requirements are done, 0 in part, 1 are not built.");
    expect(text).toContain("1 of 2 requirements are named by a test in 1 test files; 1 are not.");
    expect(renderCoverage(coverage, true)).not.toContain("One.");
  });

  it("an id that does not exist is called out", async () => {
    const { va } = family;
    const coverage = await collectCoverage(await layRepository([`${va}1–${va}3: works`]));
    expect(coverage.unknown).toEqual([{ id: `${va}3`, file: "some.test.ts", title: `${va}1–${va}3: works` }]);
    expect(renderCoverage(coverage, false)).toContain("Unknown ids");
  });

  it("no test of this repository names an id that does not exist", async () => {
    expect((await collectCoverage(root)).unknown).toEqual([]);
  });
});
