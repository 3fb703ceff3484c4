import { findOrInstall } from "../../lab/debian-packages.ts";
import { type MeasuredBroker, startMosquitto, startOurBroker } from "../broker/rival-brokers.ts";
import { measureRoundTrips, type RoundTripResult } from "../broker/round-trip.ts";
import { medianOrNull } from "../broker/rows.ts";
import type { Frame } from "../frame.ts";
import { medianOf } from "../statistics.ts";

/** By quality of service: the platform uses 0; a peer that relies on the broker's acknowledgement needs 1. */
export type ByQos = { qos0: RoundTripResult | null; qos1: RoundTripResult | null };

export type Compared = {
  ours: ByQos;
  mosquitto: ByQos;
  /** A sentence, when `mosquitto` is null. */
  whyNoMosquitto: string;
  /** Of each of the two brokers, what the medians come from. */
  turns: { ours: Turns; mosquitto: Turns };
};

/** Requests under way at once: enough to keep either broker busy. */
const concurrency = 512;
const warmUpMs = 500;

/** The raw round trip of the same bytes, in turns (A B A B), the median of each. */
export async function compareBrokers(options: {
  clients: number;
  measureMs: number;
  requestBytes: number;
  replyBytes: number;
  frame: Frame;
}): Promise<Compared> {
  const { clients, frame } = options;
  const found = await findOrInstall("mosquitto", "mosquitto");
  const ours = { qos0: [], qos1: [] } satisfies Turns;
  const theirs = { qos0: [], qos1: [] } satisfies Turns;
  async function measure(turns: Turns, start: () => Promise<MeasuredBroker>): Promise<void> {
    for (const qos of [0, 1] as const) {
      if (frame.signal.aborted) return;
      const broker = await start();
      try {
        const { measureMs, requestBytes, replyBytes } = options;
        const shape = { clients, concurrency: Math.min(concurrency, clients), qos, warmUpMs, measureMs };
        turns[`qos${qos}`].push(await measureRoundTrips({ broker, ...shape, requestBytes, replyBytes }));
      } finally {
        await broker.stop();
      }
    }
  }
  for (let turn = 0; turn < 2 && !frame.signal.aborted; turn += 1) {
    frame.say(`Raw round trips, turn ${turn + 1} of 2`);
    await measure(ours, startOurBroker);
    if (found.kind === "found") await measure(theirs, () => startMosquitto(found.path));
  }
  return {
    ours: { qos0: summarise(ours.qos0), qos1: summarise(ours.qos1) },
    mosquitto: { qos0: summarise(theirs.qos0), qos1: summarise(theirs.qos1) },
    whyNoMosquitto: found.kind === "missing" ? found.explanation : "the run was stopped before its turn",
    turns: { ours, mosquitto: theirs },
  };
}

type Turns = { qos0: RoundTripResult[]; qos1: RoundTripResult[] };

/** The median of each figure over the turns; `null` without one. */
export function summarise(results: readonly RoundTripResult[]): RoundTripResult | null {
  const [first] = results;
  if (first === undefined) return null;
  return {
    ...first,
    perSecond: medianOf(results.map((one) => one.perSecond)),
    generatorCpuShare: medianOf(results.map((one) => one.generatorCpuShare)),
    brokerCpuUs: medianOrNull(
      results.map((one) => one.brokerCpuUs),
      1,
    ),
    brokerCpuShare: medianOrNull(
      results.map((one) => one.brokerCpuShare),
      2,
    ),
  };
}
