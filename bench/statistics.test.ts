import { expect, test } from "vitest";
import { ratioOf } from "./broker/messages.ts";
import { confidenceOf, median, medianOf } from "./statistics.ts";

test("the median of an even number of values lies between the two in the middle", () => {
  expect(median([1, 2, 4, 9])).toBe(3);
  expect(medianOf([9, 1, 5])).toBe(5);
});

test("of ten values the second and the ninth hold the median with at least 95 %, of five all are needed", () => {
  // Binomial: P(fewer than 2 of 10 below) = 11/1024 on each side.
  expect(confidenceOf([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).toEqual({ low: 2, high: 9 });
  expect(confidenceOf([1, 2, 3, 4, 5])).toEqual({ low: 1, high: 5 });
});

test("a ratio compares what happened in the same turn, and leaves out what could not be read", () => {
  const sample = (brokerUs: number | null) => ({
    ...{ messages: 10, seconds: 1, p50Ms: 1, p99Ms: 1, brokerUs, generatorUs: 1 },
  });
  const ours = [100, 200, null, 400].map(sample);
  const theirs = [200, 200, 200].map(sample);
  expect(ratioOf(ours, theirs)).toEqual({ median: 1.5, low: 1, high: 2, pairs: 2 });
  expect(ratioOf([], theirs)).toBeNull();
});
