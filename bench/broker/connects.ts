import { setTimeout as delay } from "node:timers/promises";
import { readProcessMemory, readProcessorTime } from "../../start/processes.ts";
import type { Frame } from "../frame.ts";
import { type ConnectSample, connectRowOf, type MemorySample, memoryRowOf } from "./broker-figures.ts";
import { addressOf, type CarCertificates, connectCars, dropCars, type WayIn } from "./clients.ts";
import type { MeasuredBroker } from "./rival-brokers.ts";
import type { Contender, MeasuredRow } from "./rows.ts";

const ways: Record<WayIn, string> = { plain: "plain", tls: "TLS", mutualTls: "mTLS" };
/** After many cars have connected the broker does what it put off; after a few it is done sooner. */
const settleMs = (cars: number): number => Math.min(3_000, 10 * cars);

/** How fast cars connect, are accepted and subscribe. All disconnect before the next turn. */
export async function measureConnects(
  brokers: ReadonlyMap<Contender, MeasuredBroker>,
  shape: { way: WayIn; count: number; turns: number; certificates: CarCertificates },
  frame: Frame,
): Promise<MeasuredRow> {
  const { way, count } = shape;
  const load = `connect, ${ways[way]}`;
  const progress = frame.startProgress(load, shape.turns);
  const samples = new Map<Contender, ConnectSample[]>();
  for (let turn = 0; turn < shape.turns && !frame.signal.aborted; turn += 1) {
    for (const [contender, broker] of brokers) {
      if (addressOf(broker, way) === null) continue;
      const before = readProcessorTime(broker.pid)?.own ?? null;
      const own = process.cpuUsage();
      const startMs = performance.now();
      const cars = await connectCars({
        ...{ broker, way, from: 0, count, certificates: shape.certificates },
        signal: frame.signal,
      });
      const ms = performance.now() - startMs;
      const { user, system } = process.cpuUsage(own);
      const after = readProcessorTime(broker.pid)?.own ?? null;
      samples.set(contender, [
        ...(samples.get(contender) ?? []),
        {
          cars: count,
          ms,
          brokerUs: before === null || after === null ? null : after - before,
          generatorUs: user + system,
        },
      ]);
      await dropCars(cars);
    }
    progress.advance();
  }
  progress.end();
  return { row: connectRowOf(load, samples), samples: Object.fromEntries(samples) };
}

/** What a connection costs in memory: growth of the broker's PSS from `few` to `many` connected cars. */
export async function measureMemory(
  start: ReadonlyMap<Contender, () => Promise<MeasuredBroker>>,
  shape: { way: WayIn; few: number; many: number; certificates: CarCertificates },
  frame: Frame,
): Promise<MeasuredRow> {
  const { way, few, many, certificates } = shape;
  const load = `memory a connection, ${ways[way]}, ${few} to ${many}`;
  const progress = frame.startProgress(load, start.size);
  const samples = new Map<Contender, MemorySample>();
  for (const [contender, begin] of start) {
    if (frame.signal.aborted) break;
    // A new process each time, so that nothing is left over from other loads.
    const broker = await begin();
    try {
      const common = { broker, way, certificates, signal: frame.signal };
      const first = await connectCars({ ...common, from: 0, count: few });
      const before = await settledPss(broker.pid, few);
      const rest = await connectCars({ ...common, from: few, count: many - few });
      const after = await settledPss(broker.pid, many);
      samples.set(contender, { few, many, before, after });
      await dropCars([...first, ...rest]);
    } finally {
      await broker.stop();
    }
    progress.advance();
  }
  progress.end();
  return { row: memoryRowOf(load, samples), samples: Object.fromEntries(samples) };
}

async function settledPss(pid: number, cars: number): Promise<number | null> {
  await delay(settleMs(cars));
  return readProcessMemory(pid)?.pss ?? null;
}
