import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { build, type Histogram } from "hdr-histogram-js";
import * as z from "zod";
import { startPlatform } from "../../start/platform.ts";
import { sellDemoCars } from "../../start/sell-demo-cars.ts";
import { type BuiltCar, goodCard } from "../../start/story/buy-the-car.ts";
import { openWorld, wakeAmongDemoCars } from "../../start/story/world.ts";
import { type EndedActivations, type Measured, watchEndedActivations } from "../ended-activations.ts";
import type { Findings, Frame } from "../frame.ts";
import { createRandom, drawGapMs } from "../seeded-random.ts";

export type ActivationOptions = {
  cars: number;
  rate: number;
  samples: number;
  burst: number;
  maxP99: number;
  seed: number;
};

/** One service a car before anything is measured: connections open, code compiled, plans cached. */
const warmUpPerCar = 2;

/** Starts the whole platform with real agents, sells the cars, and buys services in them. */
export async function measureActivations(options: ActivationOptions, frame: Frame): Promise<Findings> {
  const dataDir = mkdtempSync(join(tmpdir(), "caas-bench-"));
  chmodSync(dataDir, 0o711); // the database's user passes through it
  const failures: string[] = [];
  try {
    const platform = await startPlatform({
      dataDir,
      ports: "free",
      environment: process.env,
      onFailure: (reason) => failures.push(reason),
      signal: frame.signal,
    });
    try {
      await platform.startDemoCars();
      const world = await openWorld(platform, wakeAmongDemoCars(platform));
      const selling = frame.startProgress("cars sold, delivered and linked", options.cars);
      const cars = await sellDemoCars(world, options.cars, {
        mark: "bench",
        now: () => new Date(),
        onSold: selling.advance,
        signal: frame.signal,
      });
      selling.end();
      const ended = await watchEndedActivations(platform.databaseUrl);
      try {
        return await measureOn(cars, ended, options, frame, failures);
      } finally {
        await ended.close();
      }
    } finally {
      await platform.stop();
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function measureOn(
  cars: readonly BuiltCar[],
  ended: EndedActivations,
  options: ActivationOptions,
  frame: Frame,
  failures: readonly string[],
): Promise<Findings> {
  const perCar = warmUpPerCar + options.burst + Math.ceil(options.samples / options.cars);
  const shop = createShop(await ended.addServices(perCar));

  const warming = frame.startProgress("warming up", cars.length * warmUpPerCar);
  await buyInTurns(cars, warmUpPerCar, shop, ended, frame, warming.advance);
  warming.end();

  const arriving = frame.startProgress(`activations at ${options.rate} a second`, options.samples);
  const sampled = await buyAtRate(cars, options, shop, ended, frame, arriving.advance);
  arriving.end();

  const bursting = frame.startProgress("activations as fast as they are proved", cars.length * options.burst);
  const burstAt = performance.now();
  const burst = await buyInTurns(cars, options.burst, shop, ended, frame, bursting.advance);
  const burstSeconds = (performance.now() - burstAt) / 1000;
  bursting.end();
  const latencies = await ended.measure(sampled);
  const fast = await ended.measure(burst);
  const histogram = toHistogram(latencies);
  const p99Ms = quantile(histogram, 99);
  return {
    numbers: {
      activationsPerSecond: burst.length === 0 ? 0 : round(burst.length / burstSeconds),
      p50Ms: quantile(histogram, 50),
      p99Ms,
    },
    conditions: {
      cars: cars.length,
      latencySamples: histogram.totalCount,
      latencyAtRatePerSecond: options.rate,
      maxMs: round(histogram.maxValue / 1000),
      burstActivations: burst.length,
      burstP99Ms: quantile(toHistogram(fast), 99),
      measured:
        "recorded_at of paymentAuthorised to recorded_at of activationConfirmed, every commit on disk",
    },
    failures: [
      ...failures,
      ...explainUnproved([...latencies, ...fast]),
      ...(p99Ms > options.maxP99 ? [`p99 is ${p99Ms} ms, above ${options.maxP99} ms`] : []),
    ],
  };
}

type Shop = { buy(car: BuiltCar): Promise<string> };

/** Each car buys each service once: what is active already would be refused. */
function createShop(serviceIds: readonly string[]): Shop {
  const bought = new Map<string, number>();
  return {
    async buy({ customer, vehicleId }) {
      const next = bought.get(vehicleId) ?? 0;
      bought.set(vehicleId, next + 1);
      const serviceId = serviceIds[next];
      if (serviceId === undefined) throw new Error("the catalogue has no service left for this car");
      const path = `/api/vehicles/${vehicleId}/activations`;
      return (await customer.post(path, { serviceId, paymentMethod: goodCard }, z.object({ id: z.string() })))
        .id;
    },
  };
}

/** Closed loop: every car buys its next service when the last one has ended. */
async function buyInTurns(
  cars: readonly BuiltCar[],
  each: number,
  shop: Shop,
  ended: EndedActivations,
  { signal }: Frame,
  onEnded: () => void,
): Promise<string[]> {
  const activations: string[] = [];
  await Promise.all(
    cars.map(async (car) => {
      for (let bought = 0; bought < each && !signal.aborted; bought += 1) {
        const id = await shop.buy(car);
        await ended.untilEnded([id], signal);
        if (signal.aborted) return;
        activations.push(id);
        onEnded();
      }
    }),
  );
  return activations;
}

/** Open loop: arrivals come when they come, however long the earlier ones take, so waiting is not hidden. */
async function buyAtRate(
  cars: readonly BuiltCar[],
  { rate, samples, seed }: ActivationOptions,
  shop: Shop,
  ended: EndedActivations,
  { signal }: Frame,
  onEnded: () => void,
): Promise<string[]> {
  const random = createRandom(seed);
  const activations: string[] = [];
  const underWay: Promise<void>[] = [];
  let dueAt = performance.now();
  for (let index = 0; index < samples && !signal.aborted; index += 1) {
    dueAt += drawGapMs(random, rate);
    await delay(Math.max(0, dueAt - performance.now()), undefined, { signal }).catch(() => undefined);
    // In turn, so that a car's own earlier change is rarely what an arrival waits for.
    const car = cars[index % cars.length];
    if (car === undefined || signal.aborted) break;
    const arrive = async () => {
      const id = await shop.buy(car);
      await ended.untilEnded([id], signal);
      activations.push(id);
      onEnded();
    };
    underWay.push(arrive());
  }
  const settled = await Promise.allSettled(underWay);
  for (const result of settled) if (result.status === "rejected" && !signal.aborted) throw result.reason;
  return activations;
}

/** In microseconds, up to a minute. */
function toHistogram(measured: readonly Measured[]): Histogram {
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
  });
  for (const { latencyMs } of measured)
    if (latencyMs !== null) histogram.recordValue(Math.max(1, Math.round(latencyMs * 1000)));
  return histogram;
}

function quantile(histogram: Histogram, percentile: number): number {
  return round(histogram.getValueAtPercentile(percentile) / 1000);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function explainUnproved(measured: readonly Measured[]): string[] {
  const others = measured.filter(({ state, attempts }) => state !== "ServiceActive" || attempts !== 1);
  const [first] = others;
  if (first === undefined) return measured.length === 0 ? ["nothing was measured"] : [];
  return [
    `${others.length} of ${measured.length} activations did not become active at their first attempt (one is ${first.state} after ${first.attempts})`,
  ];
}
