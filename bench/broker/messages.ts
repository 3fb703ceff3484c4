import type { Frame } from "../frame.ts";
import { messageRowOf } from "./broker-figures.ts";
import { type Load, type LoadKind, type LoadSample, openLoad } from "./load.ts";
import type { MeasuredBroker } from "./rival-brokers.ts";
import type { Contender, MeasuredRow } from "./rows.ts";

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
): Promise<MeasuredRow> {
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
  const unit = kind === "roundTrip" ? "round trips/s" : "messages/s";
  return { row: messageRowOf(name, unit, samples), samples: Object.fromEntries(samples) };
}

/** Rotates the order, so that no broker always follows the same other one. */
function inTurn<T>(all: readonly T[], turn: number): T[] {
  const first = turn % Math.max(1, all.length);
  return [...all.slice(first), ...all.slice(0, first)];
}
