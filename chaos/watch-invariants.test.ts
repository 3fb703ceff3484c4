import { expect, test } from "vitest";
import { judgeViolation, longestViolationMs } from "./watch-invariants.ts";

test("a promise that was broken for more than five minutes fails the run, a shorter time does not", () => {
  expect(judgeViolation(0)).toEqual([]);
  expect(judgeViolation(longestViolationMs)).toEqual([]);
  expect(judgeViolation(17 * 60_000)).toEqual([
    "a promise was broken for 1020000 ms of business time, and 300000 are the most",
  ]);
});
