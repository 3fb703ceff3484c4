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

/** Latencies to a tenth of a millisecond; 0 where nothing was measured. */
export type Tenths = { p50Ms: number; p99Ms: number; maxMs: number };

export function tenthsOf(latencies: Latencies): Tenths {
  const { p50Ms, p99Ms, maxMs } = latencies.quantiles();
  return { p50Ms: round(p50Ms ?? 0, 1), p99Ms: round(p99Ms ?? 0, 1), maxMs: round(maxMs ?? 0, 1) };
}
