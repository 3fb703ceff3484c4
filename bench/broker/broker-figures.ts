import { confidenceOf, medianOf, onePart, perSecond, round, roundKnown, shareOfCore } from "../statistics.ts";
import type { LoadSample } from "./load.ts";
import { brokerShareOf, brokerUsOf, generatorShareOf, rateOf } from "./load-figures.ts";
import { type BrokerRow, byContender, type Contender, medianOrNull, type Ratio } from "./rows.ts";

// The rows of the comparison, each from what was read in its turns.

type ByTurn<Sample> = ReadonlyMap<Contender, readonly Sample[]>;

/** The median over the turns of each contender. */
function mediansOf<Sample>(samples: ByTurn<Sample>, of: (sample: Sample) => number | null, digits: number) {
  return byContender((contender) => medianOrNull((samples.get(contender) ?? []).map(of), digits));
}

export function messageRowOf(load: string, unit: string, samples: ByTurn<LoadSample>): BrokerRow {
  return {
    load,
    unit,
    ...mediansOf(samples, rateOf, 0),
    cpuUs: mediansOf(samples, brokerUsOf, 1),
    brokerCpuShare: mediansOf(samples, brokerShareOf, 2),
    generatorCpuShare: mediansOf(samples, generatorShareOf, 2),
    oursToAedes: ratioOf(samples.get("ours") ?? [], samples.get("aedes") ?? []),
    oursToMosquitto: ratioOf(samples.get("ours") ?? [], samples.get("mosquitto") ?? []),
  };
}

/** Processor time per message, theirs divided by ours, of each turn. */
export function ratioOf(ours: readonly LoadSample[], theirs: readonly LoadSample[]): Ratio | null {
  const ratios = ours.flatMap((one, turn) => {
    const other = theirs[turn];
    const [own, rival] = [brokerUsOf(one), other === undefined ? null : brokerUsOf(other)];
    return own === null || own === 0 || rival === null ? [] : [rival / own];
  });
  if (ratios.length === 0) return null;
  const { low, high } = confidenceOf(ratios.toSorted((a, b) => a - b));
  return {
    median: round(medianOf(ratios), 3),
    low: round(low, 3),
    high: round(high, 3),
    pairs: ratios.length,
  };
}

/** A turn in which so many cars connected. `brokerUs`: `null` without /proc. */
export type ConnectSample = { cars: number; ms: number; brokerUs: number | null; generatorUs: number };

export function connectRowOf(load: string, samples: ByTurn<ConnectSample>): BrokerRow {
  const usOf = ({ brokerUs, cars }: ConnectSample) => (brokerUs === null ? null : onePart(brokerUs, cars));
  return {
    load,
    unit: "connects/s",
    ...mediansOf(samples, ({ cars, ms }) => perSecond(cars, ms), 0),
    cpuUs: mediansOf(samples, usOf, 0),
    generatorCpuShare: mediansOf(samples, ({ generatorUs, ms }) => shareOfCore(generatorUs, ms), 2),
  };
}

/** The broker's PSS in bytes with `few` cars connected and with `many`; `null` without /proc. */
export type MemorySample = { few: number; many: number; before: number | null; after: number | null };

export function memoryRowOf(load: string, samples: ReadonlyMap<Contender, MemorySample>): BrokerRow {
  return {
    load,
    unit: "KB",
    ...byContender((contender) => {
      const sample = samples.get(contender);
      if (sample === undefined || sample.before === null || sample.after === null) return null;
      const bytes = onePart(sample.after - sample.before, sample.many - sample.few);
      return roundKnown(bytes === null ? null : bytes / 1000, 1);
    }),
  };
}
