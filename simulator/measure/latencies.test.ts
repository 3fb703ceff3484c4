import { expect, test } from "vitest";
import { createLatencies, decodeLatencies } from "./latencies.ts";
import { createSeries } from "./series.ts";

test("percentiles are those of what was recorded, and the bars hold all of it", () => {
  const latencies = createLatencies();
  expect(latencies.quantiles()).toEqual({ p50Ms: null, p95Ms: null, p99Ms: null, maxMs: null });
  expect(latencies.bars()).toEqual([]);
  for (let ms = 1; ms <= 1_000; ms += 1) latencies.record(ms);
  const { p50Ms, p95Ms, p99Ms, maxMs } = latencies.quantiles();
  expect(p50Ms).toBeCloseTo(500, -1);
  expect(p95Ms).toBeCloseTo(950, -1);
  expect(p99Ms).toBeCloseTo(990, -1);
  expect(maxMs).toBeCloseTo(1_000, -1);
  const bars = latencies.bars();
  expect(bars.reduce((sum, { count }) => sum + count, 0)).toBe(1_000);
  for (const [index, bar] of bars.entries()) expect(bar.upToMs).toBeGreaterThan(bars[index - 1]?.upToMs ?? 0);
});

test("a histogram can be kept as text and read again", () => {
  const latencies = createLatencies();
  for (let ms = 1; ms <= 1_000; ms += 1) latencies.record(ms);
  const kept = decodeLatencies(latencies.encode());
  expect(kept.count).toBe(1_000);
  expect(kept.percentileMs(50)).toBe(latencies.percentileMs(50));
  expect(kept.percentileMs(99)).toBe(latencies.percentileMs(99));
  expect(latencies.encode().length).toBeLessThan(3_000);
});

test("a long run is told in fewer points, and none of it is lost", () => {
  const series = createSeries();
  for (let second = 1; second <= 2_000; second += 1) {
    series.sent();
    series.applied(second % 10);
    series.tick(second, 5);
  }
  const points = series.points();
  expect(points.length).toBeLessThan(480);
  expect(points.reduce((sum, { applied }) => sum + applied, 0)).toBe(2_000);
  expect(points.at(-1)).toMatchObject({ atS: 2_000, connected: 5 });
});
