import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { root } from "../house/source-files.ts";
import { type ExpectedSkip, expectedSkips, type Machine } from "./expected-skips.ts";
import { judgeSkips } from "./judge-skips.ts";
import type { SkippedTest } from "./tally.ts";

const debianAsRoot: Machine = { platform: "linux", isRoot: true, isOpenToNobody: true, hasSystemd: true };
const closed: ExpectedSkip = {
  ...{ file: "a.test.ts", title: "group > needs an open checkout", why: "nobody must be able to read it" },
  isExpected: ({ isOpenToNobody }) => !isOpenToNobody,
};
const skipped = (file: string, title: string): SkippedTest => ({ file, title, why: "why" });
const closedOne = skipped(closed.file, closed.title);
const redis = skipped("b.test.ts", "several brokers: redis-server is not installed");

test.each<{
  what: string;
  skipped: SkippedTest[];
  machine: Machine;
  unexpected: SkippedTest[];
  ran: ExpectedSkip[];
}>([
  { what: "nothing was skipped", skipped: [], machine: debianAsRoot, unexpected: [], ran: [] },
  {
    what: "a test was skipped that the list does not know",
    ...{ skipped: [redis], machine: debianAsRoot, unexpected: [redis], ran: [] },
  },
  {
    what: "a test was skipped that this machine can run",
    ...{ skipped: [closedOne], machine: debianAsRoot, unexpected: [closedOne], ran: [] },
  },
  {
    what: "a test was skipped that this machine cannot run",
    ...{ skipped: [closedOne], machine: { ...debianAsRoot, isOpenToNobody: false }, unexpected: [], ran: [] },
  },
  {
    what: "a test ran that this machine could not run",
    ...{ skipped: [], machine: { ...debianAsRoot, isOpenToNobody: false }, unexpected: [], ran: [closed] },
  },
  {
    what: "a test of the same title was skipped in another file",
    ...{ skipped: [skipped("c.test.ts", closed.title)], machine: { ...debianAsRoot, isOpenToNobody: false } },
    ...{ unexpected: [skipped("c.test.ts", closed.title)], ran: [closed] },
  },
])("$what", ({ skipped, machine, unexpected, ran }) => {
  expect(judgeSkips(skipped, machine, [closed])).toEqual({ unexpected, ran });
});

test("on Debian as root, with systemd and a checkout that everyone can read, no skip is expected", () => {
  expect(judgeSkips([], debianAsRoot, expectedSkips).ran).toEqual([]);
});

test("every test of the list is in its file", () => {
  const wanted = expectedSkips.flatMap(({ file, title }) =>
    title.split(" > ").map((part) => ({ file, part: part.replace(/\(\/\S+\)/, "(%s)") })),
  );
  const unknown = wanted.filter(({ file, part }) => !readFileSync(join(root, file), "utf8").includes(part));
  expect(unknown).toEqual([]);
});

test("a run that leaves tests out cannot be the run of a clean checkout", async () => {
  const args = [join(root, "test/run.ts"), "--ci", "-t", "hold"];
  const refused = promisify(execFile)(process.execPath, args);
  await expect(refused).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("--ci is for") });
});
