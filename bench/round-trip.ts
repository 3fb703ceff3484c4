import { fleetFilter, topicOf } from "@caas/contract/topics.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { createKeepAliveWheel, type KeepAliveWheel } from "@caas/simulator/link/keep-alive-wheel.ts";
import { createLightTransport, loopbackAddressOf } from "@caas/simulator/link/light-transport.ts";
import { assignVin } from "@caas/simulator/partners/factory/assign-vin.ts";
import type { CarLink } from "@caas/vehicle-agent/transport.ts";
import { build, type Histogram } from "hdr-histogram-js";
import { processorUsOf } from "./processor-time.ts";
import type { MeasuredBroker } from "./rival-brokers.ts";

// The bare way of a manifest and its report through a broker: same topics, same number of bytes, QoS 1, and
// nobody signs, verifies or stores. What a broker cannot do here, no platform on it can.

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
  connectsPerSecond: number;
};

/** A manifest of three entries and a report with an outcome, as compact JWS. */
const defaultRequestBytes = 1_150;
const defaultReplyBytes = 780;
/** Beyond the numbers of the factory and of seeded fleets. */
const firstSerial = 900_001;
const connectedAtOnce = 32;
/** Nothing on loopback takes so long: a broker this silent has lost what was under way. */
const silenceMs = 1_000;

type Client = { vin: Vin; link: CarLink; sentMs: number };

/**
 * Drives `concurrency` round trips at a time against a running broker and measures them.
 * @throws Error when clients cannot connect, or the broker no longer passes messages on.
 */
export async function measureRoundTrips(options: RoundTripOptions): Promise<RoundTripResult> {
  const { broker, clients: count, concurrency } = options;
  const keepAlive = createKeepAliveWheel();
  const reply = "r".repeat(options.replyBytes ?? defaultReplyBytes);
  const request = "m".repeat(options.requestBytes ?? defaultRequestBytes);
  const byTopic = new Map<string, Client>();
  const startedConnectingMs = performance.now();
  const clients = await connectClients(options, keepAlive, reply, byTopic);
  const connectsPerSecond = (count / (performance.now() - startedConnectingMs)) * 1000;

  const histogram = build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000 });
  let isMeasuring = false;
  let isOver = false;
  let roundTrips = 0;
  let lastReplyMs = performance.now();
  // A ring: the car that waited longest is asked next, and none has two requests under way.
  const idle = [...clients];
  let asked = 0;
  let answered = 0;

  const controlPlane = await connectControlPlane(broker, keepAlive, (topic) => {
    const client = byTopic.get(topic);
    if (client === undefined) return;
    lastReplyMs = performance.now();
    idle[answered % count] = client;
    answered += 1;
    if (isMeasuring) {
      roundTrips += 1;
      histogram.recordValue(Math.max(1, Math.round((lastReplyMs - client.sentMs) * 1000)));
    }
    if (!isOver) ask();
  });

  function ask(): void {
    const client = idle[asked % count];
    if (client === undefined) return;
    asked += 1;
    client.sentMs = performance.now();
    const topic = topicOf(client.vin, "manifest");
    // Not awaited: the reply is the acknowledgement that counts.
    controlPlane.publish({ topic, payload: request, qos: options.qos, retain: false }).catch(() => undefined);
  }

  try {
    for (let started = 0; started < Math.min(concurrency, count); started += 1) ask();
    await pass(options.warmUpMs);
    const brokerBeforeUs = processorUsOf(broker.pid);
    const ownBefore = process.cpuUsage();
    const startMs = performance.now();
    isMeasuring = true;
    await pass(options.measureMs);
    isMeasuring = false;
    const seconds = (performance.now() - startMs) / 1000;
    const own = process.cpuUsage(ownBefore);
    const brokerAfterUs = processorUsOf(broker.pid);
    if (performance.now() - lastReplyMs > silenceMs || roundTrips === 0)
      throw new Error(`${broker.name} stopped answering`);
    const brokerUs =
      brokerBeforeUs === null || brokerAfterUs === null ? null : brokerAfterUs - brokerBeforeUs;
    return {
      broker: broker.name,
      clients: count,
      concurrency,
      seconds,
      roundTrips,
      perSecond: roundTrips / seconds,
      ...quantiles(histogram),
      brokerCpuUs: brokerUs === null ? null : brokerUs / roundTrips,
      brokerCpuShare: brokerUs === null ? null : brokerUs / 1e6 / seconds,
      generatorCpuShare: (own.user + own.system) / 1e6 / seconds,
      connectsPerSecond,
    };
  } finally {
    isOver = true;
    controlPlane.drop();
    for (const { link } of clients) link.drop();
    await Promise.all([controlPlane.closed, ...clients.map(({ link }) => link.closed)]);
  }
}

function quantiles(histogram: Histogram): { p50Ms: number; p99Ms: number } {
  return {
    p50Ms: histogram.getValueAtPercentile(50) / 1000,
    p99Ms: histogram.getValueAtPercentile(99) / 1000,
  };
}

async function connectClients(
  { broker, clients: count, qos }: RoundTripOptions,
  keepAlive: KeepAliveWheel,
  reply: string,
  byTopic: Map<string, Client>,
): Promise<Client[]> {
  const clients: Client[] = [];
  const indexes = Array.from({ length: count }, (_, index) => index).values();
  async function work(): Promise<void> {
    for (const index of indexes) {
      const vin = assignVin(firstSerial + index);
      const answer = { topic: topicOf(vin, "report"), payload: reply, qos, retain: false } as const;
      const transport = createLightTransport({
        url: broker.url,
        ...broker.credentialsOf({ kind: "car", vin }),
        tls: null,
        keepAlive,
        localAddress: loopbackAddressOf(index),
      });
      const link: CarLink = await transport.connect({
        clientId: vin,
        will: { topic: topicOf(vin, "presence"), payload: "", qos: 1, retain: false },
        subscriptions: [topicOf(vin, "manifest")],
        onMessage: () => void link.publish(answer).catch(() => undefined),
        signal: new AbortController().signal,
      });
      const client = { vin, link, sentMs: 0 };
      clients.push(client);
      byTopic.set(answer.topic, client);
    }
  }
  await Promise.all(Array.from({ length: connectedAtOnce }, work));
  return clients;
}

function connectControlPlane(
  broker: MeasuredBroker,
  keepAlive: KeepAliveWheel,
  onReply: (topic: string) => void,
): Promise<CarLink> {
  const transport = createLightTransport({
    url: broker.url,
    ...broker.credentialsOf({ kind: "controlPlane" }),
    tls: null,
    keepAlive,
    sendsWill: false,
  });
  return transport.connect({
    clientId: "control-plane-round-trips",
    will: { topic: "", payload: "", qos: 0, retain: false },
    subscriptions: [fleetFilter("report")],
    onMessage: onReply,
    signal: new AbortController().signal,
  });
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
