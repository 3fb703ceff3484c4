import { expect, test } from "vitest";
import { judgeViolation, longestViolationMs } from "./watch-invariants.ts";

test("a promise that was broken for more than five minutes fails the run, a shorter time does not", () => {
  const what = "moneyWithoutService of activation a";
  expect(judgeViolation({ ms: 0, what: "" })).toEqual([]);
  expect(judgeViolation({ ms: longestViolationMs, what })).toEqual([]);
  expect(judgeViolation({ ms: 17 * 60_000, what })).toEqual([
    "a promise was broken for 1020000 ms of business time, and 300000 are the most: moneyWithoutService of activation a",
  ]);
});
