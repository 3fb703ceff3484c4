import { spawnSync } from "node:child_process";
import { canReach, chooseOperatingUser } from "../../start/postgres/operating-user.ts";
import type { ExpectedSkip, Machine } from "./expected-skips.ts";
import type { SkippedTest } from "./tally.ts";

export type SkipVerdict = {
  unexpected: SkippedTest[];
  /** Expected on this machine, and not seen: the test ran, or has another title now. */
  ran: ExpectedSkip[];
};

/** Only of a run of every test: in any other, tests are skipped because they were left out. */
export function judgeSkips(
  skipped: readonly SkippedTest[],
  machine: Machine,
  expected: readonly ExpectedSkip[],
): SkipVerdict {
  const here = expected.filter(({ isExpected }) => isExpected(machine));
  const isSame = (one: SkippedTest, other: ExpectedSkip) =>
    one.file === other.file && one.title === other.title;
  return {
    unexpected: skipped.filter((one) => !here.some((other) => isSame(one, other))),
    ran: here.filter((other) => !skipped.some((one) => isSame(one, other))),
  };
}

export function describeMachine(checkout: string): Machine {
  const isRoot = process.getuid?.() === 0;
  return {
    platform: process.platform,
    isRoot,
    isOpenToNobody: isRoot && canReach(chooseOperatingUser(["nobody"]), checkout),
    hasSystemd: spawnSync("systemd-analyze", ["--version"], { stdio: "ignore" }).status === 0,
  };
}
