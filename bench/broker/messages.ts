import type { Frame } from "../frame.ts";
import { confidenceOf, medianOf } from "../statistics.ts";
import { type Load, type LoadKind, type LoadSample, openLoad } from "./load.ts";
import type { MeasuredBroker } from "./rival-brokers.ts";
import { type BrokerRow, byContender, type Contender, medianOrNull, type Ratio } from "./rows.ts";

/** One load on all brokers. */
export type MessageLoad = { kind: LoadKind; qos: 0 | 1; clients: number };

export type MessageOptions = {
  /** Each broker once per turn, in another order each time. */
  pairs: number;
  seconds: number;
  /** Of a manifest and of a report. */
  manifestBytes: number;
  reportBytes: number;
};

/** Messages under way at once: enough to keep each broker busy. */
const concurrency = 512;
/** At most; a short turn is warmed up for as long as it is measured. */
const longestWarmUpMs = 300;
/** Before the first turn that counts: the engine has compiled what is hot by then. */
const compileMs = 2_500;

const names: Record<LoadKind, string> = {
  fanIn: "fan-in",
  fanOut: "fan-out",
  roundTrip: "round trip",
};

/** Drives one load through all brokers in turns; each stays connected meanwhile, and the others are idle. */
export async function measureMessages(
  brokers: ReadonlyMap<Contender, MeasuredBroker>,
  load: MessageLoad,
  options: MessageOptions,
  frame: Frame,
): Promise<BrokerRow> {
  const { kind, qos, clients } = load;
  const name = `${names[kind]}, QoS ${qos}, ${clients} clients`;
  const warmUpMs = Math.min(longestWarmUpMs, options.seconds * 1000);
  const progress = frame.startProgress(name, options.pairs);
  const loads = new Map<Contender, Load>();
  const samples = new Map<Contender, LoadSample[]>();
  try {
    for (const [contender, broker] of brokers) {
      const { manifestBytes, reportBytes } = options;
      const shape = { kind, qos, clients, concurrency: Math.min(concurrency, clients) };
      loads.set(contender, await openLoad({ broker, ...shape, manifestBytes, reportBytes }));
      samples.set(contender, []);
    }
    for (const opened of loads.values())
      await opened.measure({ warmUpMs: Math.min(compileMs, 2_000 * options.seconds), measureMs: warmUpMs });
    for (let turn = 0; turn < options.pairs && !frame.signal.aborted; turn += 1) {
      for (const [contender, opened] of inTurn([...loads], turn))
        samples.get(contender)?.push(await opened.measure({ warmUpMs, measureMs: options.seconds * 1000 }));
      progress.advance();
    }
  } finally {
    for (const opened of loads.values()) await opened.close();
    progress.end();
  }
  return rowOf(name, kind === "roundTrip" ? "round trips/s" : "messages/s", samples);
}

/** Rotates the order, so that no broker always follows the same other one. */
function inTurn<T>(all: readonly T[], turn: number): T[] {
  const first = turn % Math.max(1, all.length);
  return [...all.slice(first), ...all.slice(0, first)];
}

function rowOf(
  load: string,
  unit: string,
  samples: ReadonlyMap<Contender, readonly LoadSample[]>,
): BrokerRow {
  const each = (contender: Contender, of: (sample: LoadSample) => number | null, digits: number) =>
    medianOrNull((samples.get(contender) ?? []).map(of), digits);
  return {
    load,
    unit,
    ...byContender((contender) => each(contender, (one) => one.messages / one.seconds, 0)),
    cpuUs: byContender((contender) => each(contender, cpuUsOf, 1)),
    brokerCpuShare: byContender((contender) =>
      each(contender, (one) => (one.brokerUs === null ? null : one.brokerUs / 1e6 / one.seconds), 2),
    ),
    generatorCpuShare: byContender((contender) =>
      each(contender, (one) => one.generatorUs / 1e6 / one.seconds, 2),
    ),
    oursToAedes: ratioOf(samples.get("ours") ?? [], samples.get("aedes") ?? []),
    oursToMosquitto: ratioOf(samples.get("ours") ?? [], samples.get("mosquitto") ?? []),
  };
}

function cpuUsOf({ brokerUs, messages }: LoadSample): number | null {
  return brokerUs === null ? null : brokerUs / messages;
}

/** Processor time per message, theirs divided by ours, of each turn. */
export function ratioOf(ours: readonly LoadSample[], theirs: readonly LoadSample[]): Ratio | null {
  const ratios = ours.flatMap((one, turn) => {
    const other = theirs[turn];
    const [own, rival] = [cpuUsOf(one), other === undefined ? null : cpuUsOf(other)];
    return own === null || own === 0 || rival === null ? [] : [rival / own];
  });
  if (ratios.length === 0) return null;
  const { low, high } = confidenceOf(ratios.toSorted((a, b) => a - b));
  const round = (value: number) => Math.round(value * 1000) / 1000;
  return { median: round(medianOf(ratios)), low: round(low), high: round(high), pairs: ratios.length };
}
