import type { Latencies } from "@caas/simulator/measure/latencies.ts";

/** Of values in ascending order. */
export function median(sorted: readonly number[]): number {
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[middle - 1] ?? sorted[middle] ?? 0, sorted[middle] ?? 0];
  return sorted.length % 2 === 1 ? high : (low + high) / 2;
}

export function medianOf(values: readonly number[]): number {
  return median(values.toSorted((a, b) => a - b));
}

/**
 * The interval between two order statistics that holds the median with at least 95 %, if there are enough (6).
 * @param sorted in ascending order
 */
export function confidenceOf(sorted: readonly number[]): { low: number; high: number } {
  const count = sorted.length;
  let below = 0;
  let cut = 0;
  for (let chance = 0.5 ** count; cut < Math.floor((count - 1) / 2); cut += 1) {
    below += chance;
    if (below > 0.025) break;
    chance = (chance * (count - cut)) / (cut + 1);
  }
  const skipped = Math.max(0, cut - 1);
  return { low: sorted[skipped] ?? 0, high: sorted[count - 1 - skipped] ?? 0 };
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** How many a second; `null` when no time passed. */
export function perSecond(count: number, ms: number): number | null {
  return ms > 0 ? (count / ms) * 1000 : null;
}

/** The share of one of so many in a total; `null` when there are none. */
export function onePart(total: number, count: number): number | null {
  return count > 0 ? total / count : null;
}

/** Share of one core: processor time in µs, used in so many ms. `null` when no time passed. */
export function shareOfCore(us: number, ms: number): number | null {
  return ms > 0 ? us / 1000 / ms : null;
}

/** Rounds what is known. */
export function roundKnown(value: number | null, digits: number): number | null {
  return value === null ? null : round(value, digits);
}

/** Latencies to a tenth of a millisecond; `null` where nothing was measured. */
export type Tenths = { p50Ms: number | null; p99Ms: number | null; maxMs: number | null };

export function tenthsOf(latencies: Pick<Latencies, "quantiles">): Tenths {
  const { p50Ms, p99Ms, maxMs } = latencies.quantiles();
  return { p50Ms: roundKnown(p50Ms, 1), p99Ms: roundKnown(p99Ms, 1), maxMs: roundKnown(maxMs, 1) };
}
