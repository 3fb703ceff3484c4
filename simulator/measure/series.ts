/** One stretch of the run. */
export type Point = {
  /** End of the stretch, seconds after the run began. */
  atS: number;
  connected: number;
  sent: number;
  applied: number;
  failed: number;
  drops: number;
  p50Ms: number | null;
  p99Ms: number | null;
};

/** The course of a run, one point per second; long runs have fewer points. */
export type Series = {
  sent(): void;
  applied(latencyMs: number): void;
  failed(): void;
  dropped(count: number): void;
  /** Ends the present second. */
  tick(atS: number, connected: number): void;
  points(): Point[];
};

const mostPoints = 240;

export function createSeries(): Series {
  let ended: (Point & { latencies: number[] })[] = [];
  let present = fresh();

  return {
    sent() {
      present.sent += 1;
    },
    applied(latencyMs) {
      present.applied += 1;
      present.latencies.push(latencyMs);
    },
    failed() {
      present.failed += 1;
    },
    dropped(count) {
      present.drops += count;
    },
    tick(atS, connected) {
      ended.push({ ...present, atS, connected });
      present = fresh();
      // Neighbouring points are merged: twice as long a run in the same space.
      if (ended.length >= 2 * mostPoints) ended = pairUp(ended);
    },
    points: () => ended.map(({ latencies, ...point }) => ({ ...point, ...quantilesOf(latencies) })),
  };
}

function fresh(): Point & { latencies: number[] } {
  return {
    atS: 0,
    connected: 0,
    sent: 0,
    applied: 0,
    failed: 0,
    drops: 0,
    p50Ms: null,
    p99Ms: null,
    latencies: [],
  };
}

function pairUp<T extends Point & { latencies: number[] }>(points: readonly T[]): T[] {
  const pairs: T[] = [];
  for (let index = 0; index < points.length; index += 2) {
    const [first, second] = [points[index], points[index + 1]];
    if (first === undefined) break;
    if (second === undefined) pairs.push(first);
    else
      pairs.push({
        ...second,
        sent: first.sent + second.sent,
        applied: first.applied + second.applied,
        failed: first.failed + second.failed,
        drops: first.drops + second.drops,
        latencies: [...first.latencies, ...second.latencies],
      });
  }
  return pairs;
}

function quantilesOf(latencies: readonly number[]): Pick<Point, "p50Ms" | "p99Ms"> {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number) => {
    const found = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
    return found === undefined ? null : Math.round(found * 10) / 10;
  };
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
