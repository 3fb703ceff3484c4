import { createLatencies } from "@caas/simulator/measure/latencies.ts";
import { expect, test } from "vitest";
import {
  confidenceOf,
  median,
  medianOf,
  onePart,
  perSecond,
  roundKnown,
  shareOfCore,
  tenthsOf,
} from "./statistics.ts";

test("the median of an even number of values lies between the two in the middle", () => {
  expect(median([1, 2, 4, 9])).toBe(3);
  expect(medianOf([9, 1, 5])).toBe(5);
});

test("of ten values the second and the ninth hold the median with at least 95 %, of five all are needed", () => {
  // Binomial: P(fewer than 2 of 10 below) = 11/1024 on each side.
  expect(confidenceOf([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).toEqual({ low: 2, high: 9 });
  expect(confidenceOf([1, 2, 3, 4, 5])).toEqual({ low: 1, high: 5 });
});

test("rates, parts and shares are in the units that they say, and unknown where nothing was", () => {
  expect(perSecond(400, 2_000)).toBe(200);
  expect(perSecond(1, 250)).toBe(4);
  expect(perSecond(400, 0)).toBeNull();
  expect(onePart(9_000, 4)).toBe(2_250);
  expect(onePart(9_000, 0)).toBeNull();
  // Half a second of processor time in two seconds.
  expect(shareOfCore(500_000, 2_000)).toBe(0.25);
  expect(shareOfCore(500_000, 0)).toBeNull();
  expect(roundKnown(1.26, 1)).toBe(1.3);
  expect(roundKnown(null, 1)).toBeNull();
});

test("latencies are told to a tenth of a millisecond, and not as 0 where none was measured", () => {
  const latencies = createLatencies();
  expect(tenthsOf(latencies)).toEqual({ p50Ms: null, p99Ms: null, maxMs: null });
  for (let ms = 1; ms <= 100; ms += 1) latencies.record(ms / 10);
  expect(tenthsOf(latencies)).toEqual({ p50Ms: 5, p99Ms: 9.9, maxMs: 10 });
});
