import { createLatencies, type Latencies } from "@caas/simulator/measure/latencies.ts";
import { costOf, type PartTimes } from "../../lab/part-times.ts";
import { perSecond, roundKnown, shareOfCore, type Tenths, tenthsOf } from "../statistics.ts";
import type { RollOut, Wave } from "./roll-out-driver.ts";

/** From a wave's commit, and from when it was due, to each car's proof recorded. */
export type WaveLatencies = { fromCommit: Latencies; fromIntended: Latencies };

/** Bytes of each table with its indexes and TOAST. */
type Sizes = ReadonlyMap<string, number>;

/** What was read about the roll-outs: as fast as changes are proved, and at half that rate. */
export type RollOutReadings = {
  rollOut: RollOut;
  half: RollOut;
  latencies: WaveLatencies;
  latenciesAtHalf: WaveLatencies;
  /** Before and after the faster one. */
  times: { before: PartTimes | null; after: PartTimes | null };
  sizes: { before: Sizes; after: Sizes };
};

export type RollOutFigures = {
  /** A second, not rounded. */
  carsPerSecond: number | null;
  seconds: number;
  halfLoadPerSecond: number | null;
  halfLoad: Tenths & { measured: number; p99FromIntendedMs: number | null };
  saturated: Tenths;
  /** µs a change, by part. */
  cost: ReturnType<typeof costOf>;
  /** Of one core. */
  generatorCpuShare: number | null;
  driverCpuShare: number | null;
  bytesPerChange: number | null;
  growth: ReadonlyMap<string, number>;
};

export function rollOutFiguresOf(readings: RollOutReadings): RollOutFigures {
  const { rollOut, half, latencies, latenciesAtHalf, times, sizes } = readings;
  const ms = rollOut.provedMs - rollOut.startedMs;
  const growth = growthOf(sizes.before, sizes.after, rollOut.changes);
  const shareOf = (us: number | null) => (us === null ? null : roundKnown(shareOfCore(us, ms), 2));
  const total = costOf(times.before, times.after, 1);
  return {
    carsPerSecond: rateOf(rollOut),
    seconds: ms / 1000,
    halfLoadPerSecond: rateOf(half),
    halfLoad: {
      ...tenthsOf(latenciesAtHalf.fromCommit),
      measured: latenciesAtHalf.fromCommit.count,
      p99FromIntendedMs: tenthsOf(latenciesAtHalf.fromIntended).p99Ms,
    },
    saturated: tenthsOf(latencies.fromCommit),
    cost: costOf(times.before, times.after, rollOut.changes),
    generatorCpuShare: shareOf(total === null ? null : total.fleet + total.driver),
    driverCpuShare: shareOf(total?.driver ?? null),
    bytesPerChange: rollOut.changes === 0 ? null : growth.values().reduce((sum, one) => sum + one, 0),
    growth,
  };
}

/** The numbers that the figures come from. */
export function rawOf({ rollOut, half, latencies, latenciesAtHalf, times, sizes }: RollOutReadings) {
  return {
    changes: rollOut.changes,
    ms: rollOut.provedMs - rollOut.startedMs,
    halfChanges: half.changes,
    halfMs: half.provedMs - half.startedMs,
    latencies: latencies.fromCommit.encode(),
    halfLatencies: latenciesAtHalf.fromCommit.encode(),
    microseconds: costOf(times.before, times.after, 1),
    bytes: Object.fromEntries(growthOf(sizes.before, sizes.after, 1)),
  };
}

/** Changes a second, from the first wave begun to nothing under way. */
export function rateOf({ changes, startedMs, provedMs }: RollOut): number | null {
  return perSecond(changes, provedMs - startedMs);
}

/** @param provedMs of each car, in the order of its proofs: it has one change under way at most */
export function latenciesOf(
  waves: readonly Wave[],
  provedMs: ReadonlyMap<string, readonly number[]>,
): WaveLatencies {
  const fromCommit = createLatencies();
  const fromIntended = createLatencies();
  const taken = new Map<string, number>();
  for (const wave of waves)
    for (const id of wave.vehicleIds) {
      const nth = taken.get(id) ?? 0;
      taken.set(id, nth + 1);
      const proved = provedMs.get(id)?.[nth];
      if (proved === undefined) continue;
      // A proof can be recorded before the driver has heard of its wave's commit: that is no time at all.
      fromCommit.record(proved - wave.committedMs);
      fromIntended.record(proved - wave.intendedMs);
    }
  return { fromCommit, fromIntended };
}

/** Bytes per change by table, for tables that grew. */
function growthOf(before: Sizes, after: Sizes, changes: number): Map<string, number> {
  const grown = after
    .entries()
    .map(([name, bytes]): [string, number] => [
      name,
      Math.round((bytes - (before.get(name) ?? 0)) / Math.max(1, changes)),
    ]);
  return new Map(grown.filter(([, bytes]) => bytes !== 0));
}
