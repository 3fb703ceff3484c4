import { setTimeout as delay } from "node:timers/promises";
import { fleetFilter, topicOf } from "@caas/contract/topics.ts";
import { createLatencies } from "@caas/simulator/measure/latencies.ts";
import { readProcessorTime } from "../../start/processes.ts";
import { connectCars, connectControlPlane, dropCars, type MeasuredCar } from "./clients.ts";
import type { MeasuredBroker } from "./rival-brokers.ts";

// The routes of messages through a broker, alone: same topics, same number of bytes, but nothing signs,
// verifies or stores. What a broker cannot do here, no platform on it can.

/**
 * `fanIn`: reports of all cars to one subscriber. `fanOut`: manifests of one publisher, each to another car.
 * `roundTrip`: a manifest to a car, and its report as the answer.
 */
export type LoadKind = "fanIn" | "fanOut" | "roundTrip";

export type LoadOptions = {
  broker: MeasuredBroker;
  kind: LoadKind;
  /** Cars connected; each has at most one message under way. */
  clients: number;
  /** Messages under way at once; at most `clients`. */
  concurrency: number;
  qos: 0 | 1;
  manifestBytes: number;
  reportBytes: number;
};

export type LoadSample = {
  /** That arrived; a round trip is one. */
  messages: number;
  seconds: number;
  /** Closed loop: at saturation this is queueing, not latency. */
  p50Ms: number;
  p99Ms: number;
  /** Processor time of the broker in all, in µs; `null` without /proc. */
  brokerUs: number | null;
  /** Of this process, which is the load generator. */
  generatorUs: number;
};

export type Load = {
  /** Drives it for a while and measures; afterwards nothing is under way. @throws Error when the broker falls silent */
  measure(shape: { warmUpMs: number; measureMs: number }): Promise<LoadSample>;
  close(): Promise<void>;
};

/** Nothing on loopback takes so long: a broker this silent has lost what was under way. */
const silenceMs = 2_000;

type Car = MeasuredCar & { sentMs: number };

/** Connects the cars and the platform's side; each broker of a comparison can be held connected meanwhile. */
export async function openLoad(options: LoadOptions): Promise<Load> {
  const { broker, kind, clients: count, concurrency, qos } = options;
  const manifest = "m".repeat(options.manifestBytes);
  const report = "r".repeat(options.reportBytes);
  const byTopic = new Map<string, Car>();
  const byVin = new Map<string, Car>();
  let latencies = createLatencies();
  let phase: "idle" | "warming" | "measuring" | "draining" = "idle";
  let asked = 0;
  let answered = 0;
  let messages = 0;
  let onDrained = (): void => undefined;

  const connected = await connectCars({
    broker,
    way: "plain",
    from: 0,
    count,
    certificates: null,
    onMessage: ({ vin }) => {
      const car = byVin.get(vin);
      if (car === undefined) return;
      if (kind === "roundTrip") sendReport(car);
      else if (kind === "fanOut") arrive(car);
    },
    signal: new AbortController().signal,
  });
  const cars = connected.map((car): Car => ({ ...car, sentMs: 0 }));
  for (const car of cars) {
    byTopic.set(topicOf(car.vin, "report"), car);
    byVin.set(car.vin, car);
  }
  const controlPlane = await connectControlPlane(broker, fleetFilter("report"), (topic) => {
    const car = byTopic.get(topic);
    if (car !== undefined) arrive(car);
  });
  // The car that waited longest is next, so none has two messages under way.
  const idle = [...cars];

  // Neither is awaited: what counts is what arrives.
  function sendReport({ vin, link }: Car): void {
    link
      .publish({ topic: topicOf(vin, "report"), payload: report, qos, retain: false })
      .catch(() => undefined);
  }
  function sendManifest({ vin }: Car): void {
    controlPlane
      .publish({ topic: topicOf(vin, "manifest"), payload: manifest, qos, retain: false })
      .catch(() => undefined);
  }

  function ask(): void {
    const car = idle[asked % count];
    if (car === undefined) return;
    asked += 1;
    car.sentMs = performance.now();
    if (kind === "fanIn") sendReport(car);
    else sendManifest(car);
  }

  function arrive(car: Car): void {
    idle[answered % count] = car;
    answered += 1;
    if (phase === "measuring") {
      messages += 1;
      latencies.record(performance.now() - car.sentMs);
    }
    if (phase === "warming" || phase === "measuring") ask();
    else if (answered === asked) onDrained();
  }

  async function drain(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    onDrained = resolve;
    if (answered === asked) return;
    const seen = answered;
    const timer = setTimeout(resolve, silenceMs);
    await promise;
    clearTimeout(timer);
    if (answered === seen) throw new Error(`${broker.name} stopped answering`);
    if (answered < asked) await drain();
  }

  return {
    async measure({ warmUpMs, measureMs }) {
      latencies = createLatencies();
      messages = 0;
      phase = "warming";
      for (let started = 0; started < Math.min(concurrency, count); started += 1) ask();
      await delay(warmUpMs);
      const brokerBefore = readProcessorTime(broker.pid)?.own ?? null;
      const ownBefore = process.cpuUsage();
      const startMs = performance.now();
      phase = "measuring";
      await delay(measureMs);
      phase = "draining";
      const seconds = (performance.now() - startMs) / 1000;
      const own = process.cpuUsage(ownBefore);
      const brokerAfter = readProcessorTime(broker.pid)?.own ?? null;
      await drain();
      phase = "idle";
      if (messages === 0) throw new Error(`${broker.name} stopped answering`);
      return {
        messages,
        seconds,
        p50Ms: latencies.percentileMs(50) ?? 0,
        p99Ms: latencies.percentileMs(99) ?? 0,
        brokerUs: brokerBefore === null || brokerAfter === null ? null : brokerAfter - brokerBefore,
        generatorUs: own.user + own.system,
      };
    },
    async close() {
      controlPlane.drop();
      await Promise.all([controlPlane.closed, dropCars(cars)]);
    },
  };
}
