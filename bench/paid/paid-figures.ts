import { createLatencies } from "@caas/simulator/measure/latencies.ts";
import { costOf, type PartTimes } from "../../lab/part-times.ts";
import { onePart, perSecond, roundKnown, shareOfCore, type Tenths, tenthsOf } from "../statistics.ts";
import type { Bought } from "./buyers-process.ts";
import type { DatabaseWork } from "./database-counters.ts";

/** What was read about one load. Moments are ms of the machine's clock. */
export type PaidReadings = {
  bought: Bought;
  /** The activations whose price the gateway's own books show captured exactly once: nothing else is counted. */
  captured: ReadonlySet<string>;
  /** When every mail was handed over. */
  mailOutMs: number;
  /** Processor time: when it began, when the last purchase had ended, when every mail was out. */
  times: { before: PartTimes | null; atEnd: PartTimes | null; after: PartTimes | null };
  work: DatabaseWork;
};

/** Rates a second, latencies in ms, processor time in µs; counts for one activation. `null`: not measured. */
export type PaidFigures = Tenths & {
  purchases: number;
  seconds: number | null;
  /** Not rounded. */
  perSecond: number | null;
  perSecondWithMailOut: number | null;
  generatorCpuShare: number | null;
  microseconds: ReturnType<typeof costOf>;
  commits: number | null;
  rollbacks: number | null;
  statements: number | string | null;
};

/** From the first request sent to the last capture recorded; latency from the request to the capture recorded. */
export function paidFiguresOf(readings: PaidReadings): PaidFigures {
  const { times, work } = readings;
  const { count, lastMs, latencies } = countPaid(readings);
  const { startedMs } = readings.bought;
  const each = (total: number) => roundKnown(onePart(total, count), 1);
  const generatorUs = generatorUsOf(times);
  return {
    ...tenthsOf(latencies),
    purchases: count,
    seconds: count === 0 ? null : roundKnown((lastMs - startedMs) / 1000, 1),
    perSecond: perSecond(count, lastMs - startedMs),
    perSecondWithMailOut: roundKnown(perSecond(count, readings.mailOutMs - startedMs), 1),
    generatorCpuShare:
      generatorUs === null ? null : roundKnown(shareOfCore(generatorUs, lastMs - startedMs), 2),
    microseconds: costOf(times.before, times.after, count),
    commits: each(work.commits),
    rollbacks: each(work.rollbacks),
    statements: typeof work.statements === "number" ? each(work.statements) : work.statements,
  };
}

/** The numbers that the figures come from; moments in ms since the first request. */
export function rawOf(readings: PaidReadings) {
  const { bought, captured, mailOutMs, times, work } = readings;
  const { count, lastMs, latencies } = countPaid(readings);
  return {
    sent: bought.purchases.length,
    capturedAtGateway: captured.size,
    counted: count,
    lastCaptureMs: lastMs - bought.startedMs,
    mailOutMs: mailOutMs - bought.startedMs,
    generatorUs: generatorUsOf(times),
    microseconds: costOf(times.before, times.after, 1),
    ...work,
    latencies: latencies.encode(),
  };
}

function countPaid({ bought, captured }: PaidReadings) {
  const latencies = createLatencies();
  let lastMs = bought.startedMs;
  for (const { activationId, capturedMs, intendedMs } of bought.purchases) {
    if (capturedMs === null || !captured.has(activationId)) continue;
    latencies.record(capturedMs - intendedMs);
    lastMs = Math.max(lastMs, capturedMs);
  }
  return { count: latencies.count, lastMs, latencies };
}

function generatorUsOf({ before, atEnd }: PaidReadings["times"]): number | null {
  return before === null || atEnd === null ? null : atEnd.generator - before.generator;
}
