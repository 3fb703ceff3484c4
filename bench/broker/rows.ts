import { medianOf } from "../statistics.ts";

/** The three that are compared. */
export const contenders = ["ours", "aedes", "mosquitto"] as const;
export type Contender = (typeof contenders)[number];
/** `null`: not measured. */
export type ByContender = Record<Contender, number | null>;

/** A row of the comparison. */
export type BrokerRow = {
  load: string;
  unit: string;
  /** The median of all turns. */
  ours: number | null;
  aedes: number | null;
  mosquitto: number | null;
  /** Processor time of the broker an operation, in µs; medians. */
  cpuUs?: ByContender;
  /** Share of a core that the broker used. */
  brokerCpuShare?: ByContender;
  /** Of the load generator, which is one process. */
  generatorCpuShare?: ByContender;
  /** Processor time of aedes an operation divided by ours, turn by turn: above 1 we are cheaper. */
  oursToAedes?: Ratio | null;
  oursToMosquitto?: Ratio | null;
};

/** A row with what it was computed from, of each contender. */
export type MeasuredRow = { row: BrokerRow; samples: Readonly<Record<string, object>> };

/** A median with its 95 % confidence interval, over so many pairs. */
export type Ratio = { median: number; low: number; high: number; pairs: number };

export function byContender(of: (contender: Contender) => number | null): ByContender {
  return { ours: of("ours"), aedes: of("aedes"), mosquitto: of("mosquitto") };
}

/** `null` where nothing was measured. */
export function medianOrNull(values: readonly (number | null)[], digits: number): number | null {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return null;
  return Number(medianOf(known).toFixed(digits));
}
