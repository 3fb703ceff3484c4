import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { collectCoverage, countCoverage, renderCoverage } from "./print-requirements.ts";
import { listIds, readRequirements } from "./requirement-ids.ts";

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
      `## Arrows\n\n| id | requirement |\n|---|---|\n| ${va}1 | One. |\n| ${va}2 | Two. |\n`,
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
      named: 1,
      unnamed: [`${va}2`],
      unknown: [],
      testFiles: 1,
    });
    const text = renderCoverage(coverage, false);
    expect(text).toContain(`some.test.ts: ${va}1: works`);
    expect(text).toMatch(/NO TEST {2}Two\./);
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
