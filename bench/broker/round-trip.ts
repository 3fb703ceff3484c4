import { type LoadSample, openLoad } from "./load.ts";
import { brokerShareOf, brokerUsOf, generatorShareOf, rateOf } from "./load-figures.ts";
import type { MeasuredBroker } from "./rival-brokers.ts";

export type RoundTripOptions = {
  broker: MeasuredBroker;
  /** Cars connected; each has at most one request under way. */
  clients: number;
  /** Requests under way at once; at most `clients`. */
  concurrency: number;
  warmUpMs: number;
  measureMs: number;
  /** Of the manifest and of the report. */
  qos: 0 | 1;
  /** Bytes of a signed manifest and of a signed report; defaults: one service, measured. */
  requestBytes?: number;
  replyBytes?: number;
};

export type RoundTripResult = {
  broker: string;
  clients: number;
  concurrency: number;
  seconds: number;
  roundTrips: number;
  perSecond: number;
  /** Closed loop: at saturation this is queueing, not latency. */
  p50Ms: number;
  p99Ms: number;
  /** Processor time of the broker a round trip; `null` without /proc. */
  brokerCpuUs: number | null;
  /** Share of one core that broker and load generator used. */
  brokerCpuShare: number | null;
  generatorCpuShare: number;
};

/** A manifest of three entries and a report with an outcome, as compact JWS. */
const defaultRequestBytes = 1_150;
const defaultReplyBytes = 780;

/**
 * Drives `concurrency` round trips at a time against a running broker and measures them.
 * @throws Error when clients cannot connect, or the broker no longer passes messages on.
 */
export async function measureRoundTrips(options: RoundTripOptions): Promise<RoundTripResult> {
  const { broker, clients, concurrency, qos } = options;
  const load = await openLoad({
    broker,
    kind: "roundTrip",
    clients,
    concurrency,
    qos,
    manifestBytes: options.requestBytes ?? defaultRequestBytes,
    reportBytes: options.replyBytes ?? defaultReplyBytes,
  });
  try {
    return roundTripFiguresOf(await load.measure(options), { broker: broker.name, clients, concurrency });
  } finally {
    await load.close();
  }
}

export function roundTripFiguresOf(
  sample: LoadSample,
  shape: Pick<RoundTripResult, "broker" | "clients" | "concurrency">,
): RoundTripResult {
  const { messages, seconds, p50Ms, p99Ms } = sample;
  return {
    ...shape,
    seconds,
    roundTrips: messages,
    perSecond: rateOf(sample),
    p50Ms,
    p99Ms,
    brokerCpuUs: brokerUsOf(sample),
    brokerCpuShare: brokerShareOf(sample),
    generatorCpuShare: generatorShareOf(sample),
  };
}
