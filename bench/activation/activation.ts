import { buyAService } from "@caas/contract/client/generated.ts";
import { seededRandom } from "@caas/simulator/chance/seeded-random.ts";
import { aborted, beginWhenDue } from "@caas/simulator/run/pace.ts";
import { planArrivals } from "@caas/simulator/run/plan-steps.ts";
import { type ActivationEnds, watchActivationEnds } from "../../lab/activation-ends.ts";
import { withClient } from "../../lab/database.ts";
import { addServices, type Service } from "../../lab/owners.ts";
import { withPlatform } from "../../lab/seeded-platform.ts";
import { sellDemoCars } from "../../start/sell-demo-cars.ts";
import { type BuiltCar, goodCard } from "../../start/story/buy-the-car.ts";
import { openCast, wakeAmongDemoCars } from "../../start/story/cast.ts";
import { type Findings, type Frame, sayUnmeasured } from "../frame.ts";
import { activationFiguresOf, type Measured } from "./activation-figures.ts";

export type ActivationOptions = {
  cars: number;
  rate: number;
  samples: number;
  burst: number;
  maxP99: number;
  seed: number;
};

/** Services per car before anything is measured: connections open, code compiled, plans cached. */
const warmUpPerCar = 2;
/** The burst is a closed loop: the next purchase follows this soon after an end. */
const lookEveryMs = 5;

/** Starts the whole platform with real agents, sells the cars, and buys services in them. */
export async function measureActivations(options: ActivationOptions, frame: Frame): Promise<Findings> {
  return withPlatform(frame, async ({ platform, failures }) => {
    await platform.startDemoCars();
    const cast = await openCast(platform, wakeAmongDemoCars(platform));
    const selling = frame.startProgress("cars sold, delivered and linked", options.cars);
    const cars = await sellDemoCars(cast, options.cars, {
      mark: "bench",
      now: () => new Date(),
      onSold: () => selling.advance(),
      signal: frame.signal,
    });
    selling.end();
    const { databaseUrl } = platform;
    const ends = watchActivationEnds({ databaseUrl, lookEveryMs, withPayment: false });
    try {
      return await measureOn({ cars, ends, databaseUrl, failures }, options, frame);
    } finally {
      await ends.close();
    }
  });
}

type Scene = {
  cars: readonly BuiltCar[];
  ends: ActivationEnds;
  databaseUrl: string;
  failures: readonly string[];
};

async function measureOn(
  { cars, ends, databaseUrl, failures }: Scene,
  options: ActivationOptions,
  frame: Frame,
): Promise<Findings> {
  const perCar = warmUpPerCar + options.burst + Math.ceil(options.samples / options.cars);
  const services = await withClient(databaseUrl, (client) => addServices(client, perCar));
  const buy = createBuying(services, ends, frame.signal);

  const warming = frame.startProgress("warming up", cars.length * warmUpPerCar);
  await buyInTurns(cars, warmUpPerCar, buy, warming.advance);
  warming.end();

  const arriving = frame.startProgress(`activations at ${options.rate} a second`, options.samples);
  const sampled = await buyAtRate(cars, options, frame.signal, buy, arriving.advance);
  arriving.end();

  const bursting = frame.startProgress("activations as fast as they are proved", cars.length * options.burst);
  const burstAt = performance.now();
  const burst = await buyInTurns(cars, options.burst, buy, bursting.advance);
  const burstMs = performance.now() - burstAt;
  bursting.end();
  const figures = activationFiguresOf(
    {
      samples: await selectMeasured(databaseUrl, sampled),
      burst: await selectMeasured(databaseUrl, burst),
      burstMs,
    },
    options.maxP99,
  );
  return {
    numbers: figures.numbers,
    conditions: sayUnmeasured({
      cars: cars.length,
      latencySamples: figures.latencySamples,
      latencyAtRatePerSecond: options.rate,
      maxMs: figures.maxMs,
      burstActivations: figures.burstActivations,
      burstP99Ms: figures.burstP99Ms,
      measured:
        "recorded_at of paymentAuthorised to recorded_at of activationConfirmed, every commit on disk",
    }),
    raw: figures.raw,
    failures: [...failures, ...figures.failures],
  };
}

/** Buys a car's next service. @returns its id once it has ended; `null` when the run was stopped before */
type Buy = (car: BuiltCar) => Promise<string | null>;

/** Each car buys each service once: what is active already would be refused. */
function createBuying(services: readonly Service[], ends: ActivationEnds, signal: AbortSignal): Buy {
  const bought = new Map<string, number>();
  const stopped = aborted(signal);
  return async ({ customer, vehicleId }) => {
    if (signal.aborted) return null;
    const next = bought.get(vehicleId) ?? 0;
    bought.set(vehicleId, next + 1);
    const service = services[next];
    if (service === undefined) throw new Error("the catalogue has no service left for this car");
    const { id } = await buyAService(vehicleId, { serviceId: service.id, paymentMethod: goodCard }, customer);
    await Promise.race([ends.add(id), stopped]);
    return signal.aborted ? null : id;
  };
}

/** Closed loop: every car buys its next service when the last one has ended. */
async function buyInTurns(
  cars: readonly BuiltCar[],
  each: number,
  buy: Buy,
  onEnded: () => void,
): Promise<string[]> {
  const activations: string[] = [];
  await Promise.all(
    cars.map(async (car) => {
      for (let bought = 0; bought < each; bought += 1) {
        const id = await buy(car);
        if (id === null) return;
        activations.push(id);
        onEnded();
      }
    }),
  );
  return activations;
}

/** Open loop: the arrivals do not wait for each other. */
async function buyAtRate(
  cars: readonly BuiltCar[],
  { rate, samples, seed }: ActivationOptions,
  signal: AbortSignal,
  buy: Buy,
  onEnded: () => void,
): Promise<string[]> {
  const activations: string[] = [];
  const underWay: Promise<void>[] = [];
  const arrive = async (car: BuiltCar) => {
    const id = await buy(car);
    if (id === null) return;
    activations.push(id);
    onEnded();
  };
  const arrivals = planArrivals(seededRandom(seed), {
    perSecond: rate,
    forMs: Number.POSITIVE_INFINITY,
    count: samples,
  });
  await beginWhenDue(arrivals, signal, () => {
    // In turn, so that a car's own earlier change is rarely what an arrival waits for.
    const car = cars[underWay.length % cars.length];
    if (car !== undefined) underWay.push(arrive(car));
  });
  const settled = await Promise.allSettled(underWay);
  for (const result of settled) if (result.status === "rejected" && !signal.aborted) throw result.reason;
  return activations;
}

/** A step's own clock is read inside its transaction, right before the commit, at both ends. */
async function selectMeasured(databaseUrl: string, ids: readonly string[]): Promise<Measured[]> {
  const { rows } = await withClient(databaseUrl, (client) =>
    client.query<Measured>(
      `select activation.state, activation.attempts_used as attempts,
              (extract(epoch from proved.recorded_at - held.recorded_at) * 1000)::float8 as "latencyMs"
       from activations activation
       left join steps held on held.activation_id = activation.id and held.event = 'paymentAuthorised'
       left join steps proved on proved.activation_id = activation.id and proved.event = 'activationConfirmed'
       where activation.id = any($1::uuid[])`,
      [ids],
    ),
  );
  return rows;
}
