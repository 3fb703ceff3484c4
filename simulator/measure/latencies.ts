import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64 } from "hdr-histogram-js";

/** Milliseconds, `null` where nothing was measured. */
export type Quantiles = {
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
  maxMs: number | null;
};

/** How many of the measured took at most `upToMs`, and longer than the bar before. */
export type Bar = { upToMs: number; count: number };

/** Latencies by HDR histogram, three significant digits, microseconds to an hour. */
export type Latencies = {
  record(ms: number): void;
  readonly count: number;
  quantiles(): Quantiles;
  percentileMs(percentile: number): number | null;
  /** For a plot: bars of equal width on a logarithmic scale, from the first that holds something to the last. */
  bars(): Bar[];
  /** The histogram in µs as HdrHistogram's other tools read it: compressed, in base64. */
  encode(): string;
};

const longestUs = 3_600_000_000;
/** Fine enough to see two humps, coarse enough to read: each bar ends a third above the one before. */
const barsPerDecade = 8;

export function createLatencies(): Latencies {
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: longestUs,
    numberOfSignificantValueDigits: 3,
  });
  const bars = new Map<number, number>();
  // Its buckets are rounded upwards: no percentile lies above what was ever recorded.
  let longest = 0;
  const percentileMs = (percentile: number) =>
    histogram.totalCount === 0
      ? null
      : round(Math.min(longest, histogram.getValueAtPercentile(percentile)) / 1000);
  return {
    record(ms) {
      const us = Math.min(longestUs, Math.max(1, Math.round(ms * 1000)));
      histogram.recordValue(us);
      longest = Math.max(longest, us);
      const bar = Math.ceil(Math.log10(us) * barsPerDecade - 1e-9);
      bars.set(bar, (bars.get(bar) ?? 0) + 1);
    },
    get count() {
      return histogram.totalCount;
    },
    percentileMs,
    quantiles: () => ({
      p50Ms: percentileMs(50),
      p95Ms: percentileMs(95),
      p99Ms: percentileMs(99),
      maxMs: histogram.totalCount === 0 ? null : round(longest / 1000),
    }),
    bars() {
      if (bars.size === 0) return [];
      const first = Math.min(...bars.keys());
      const last = Math.max(...bars.keys());
      return Array.from({ length: last - first + 1 }, (_, index) => ({
        upToMs: round(10 ** ((first + index) / barsPerDecade) / 1000),
        count: bars.get(first + index) ?? 0,
      }));
    },
    encode: () => encodeIntoCompressedBase64(histogram),
  };
}

/** What `encode` gave. @throws when it is none */
export function decodeLatencies(encoded: string): {
  count: number;
  percentileMs(percentile: number): number;
} {
  const histogram = decodeFromCompressedBase64(encoded);
  return {
    count: histogram.totalCount,
    percentileMs: (percentile) => round(histogram.getValueAtPercentile(percentile) / 1000),
  };
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
