import { withClient } from "../../lab/database.ts";
import { gatewayStoreOf, readGatewayStore } from "../../lab/gateway-books.ts";
import { addServices, registerAtWorkshops, signOwnersIn } from "../../lab/owners.ts";
import { readPartTimes } from "../../lab/part-times.ts";
import type { SeededCar } from "../../lab/seed-fleet.ts";
import { type SeededPlatform, withSeededPlatform } from "../../lab/seeded-platform.ts";
import type { Platform } from "../../start/platform.ts";
import { type Conditions, type Findings, type Frame, sayUnmeasured } from "../frame.ts";
import { roundKnown } from "../statistics.ts";
import { judgePurchases, listPaidOnce, readStates, untilCarsAreOnline, untilMailIsOut } from "./audit.ts";
import { type Bought, type BuyersProcess, type Load, startBuyers } from "./buyers-process.ts";
import { readDatabaseCounters, startCountingPostgres, workBetween } from "./database-counters.ts";
import { type PaidFigures, type PaidReadings, paidFiguresOf, rawOf } from "./paid-figures.ts";

export type PaidOptions = {
  cars: number;
  purchases: number;
  underWay: number;
  /** Of the open loop, a second; half of what the closed loop reached when left out. */
  rate?: number;
  seed: number;
};

/** The half load lasts about this long. */
const halfLoadSeconds = 10;

/** Starts the whole platform with real agents in a process of their own, and buys services in their cars. */
export async function measurePaid(options: PaidOptions, frame: Frame): Promise<Findings> {
  return withSeededPlatform(
    { ...frame, ...options, startDatabase: startCountingPostgres },
    async (seeded) => {
      const paid = await measurePurchases(seeded, options, frame);
      return {
        numbers: {
          paidActivationsPerSecond: paid.perSecond,
          halfLoadP50Ms: paid.halfLoadP50Ms,
          halfLoadP99Ms: paid.halfLoadP99Ms,
          generatorCpuShare: paid.generatorCpuShare,
        },
        conditions: {
          cars: options.cars,
          ...paid.conditions,
          command: `npm run bench -- paid --cars ${options.cars} --purchases ${options.purchases} --under-way ${options.underWay}${options.rate === undefined ? "" : ` --rate ${options.rate}`} --seed ${options.seed}`,
        },
        raw: paid.raw,
        failures: [...seeded.failures, ...paid.failures],
      };
    },
  );
}

export type PaidMeasured = {
  perSecond: number | null;
  halfLoadP50Ms: number | null;
  halfLoadP99Ms: number | null;
  generatorCpuShare: number | null;
  conditions: Conditions;
  raw: object;
  failures: readonly string[];
};

/** On a platform that runs, with its cars connected. Every figure counts only what the gateway captured. */
export async function measurePurchases(
  { platform, cars, judgeCars }: SeededPlatform,
  options: Omit<PaidOptions, "cars" | "seed">,
  frame: Frame,
): Promise<PaidMeasured> {
  const { purchases, underWay } = options;
  const { databaseUrl, standIns } = platform;
  if (standIns === null) throw new Error("purchases are measured with our own stand-ins only");
  await untilCarsAreOnline(databaseUrl, cars.length, frame.signal);
  const warmUp = Math.min(cars.length, 4 * underWay, Math.ceil(purchases / 4));
  const services = Math.ceil((warmUp + 2 * purchases) / cars.length) + 1;
  const { buyers, prices } = await prepareBuyers(platform, standIns.vss, cars, services, frame.signal);
  const readBooks = () => readGatewayStore(gatewayStoreOf(platform));
  try {
    const buy = async (what: string, count: number, load: Load): Promise<Bought> => {
      frame.say(`${what}: ${count} purchases`);
      return buyers.buy(count, load);
    };
    /** Buys, and reads all around it that its figures are computed from. */
    const measure = async (what: string, count: number, load: Load): Promise<PaidReadings> => {
      const counted = await readDatabaseCounters(databaseUrl);
      const before = readPartTimes();
      const bought = await buy(what, count, load);
      const atEnd = readPartTimes();
      const mailOutMs = await untilMailIsOut(databaseUrl, frame.signal);
      const after = readPartTimes();
      const work = workBetween(counted, await readDatabaseCounters(databaseUrl));
      const captured = listPaidOnce({ bought: [bought], intents: readBooks(), prices });
      return { bought, captured, mailOutMs, times: { before, atEnd, after }, work };
    };
    const closed: Load = { kind: "underWay", underWay };
    const warmed = await buy("warming up", warmUp, closed);
    await untilMailIsOut(databaseUrl, frame.signal);

    const fast = await measure(`as fast as they are captured, ${underWay} under way`, purchases, closed);
    const figures = paidFiguresOf(fast);
    const halfRate = options.rate ?? Math.max(1, (figures.perSecond ?? 0) / 2);
    const half = await measure(
      `at ${Math.round(halfRate)} a second`,
      Math.min(purchases, Math.ceil(halfRate * halfLoadSeconds)),
      { kind: "perSecond", perSecond: halfRate },
    );
    const halfFigures = paidFiguresOf(half);
    const bought = [warmed, fast.bought, half.bought];
    const states = await readStates(databaseUrl, bought);
    return {
      perSecond: roundKnown(figures.perSecond, 1),
      halfLoadP50Ms: halfFigures.p50Ms,
      halfLoadP99Ms: halfFigures.p99Ms,
      generatorCpuShare: figures.generatorCpuShare,
      conditions: conditionsOf(figures, halfFigures, { underWay, halfRate }),
      raw: { fast: rawOf(fast), half: { ...rawOf(half), perSecond: halfRate } },
      failures: [...judgePurchases({ bought, intents: readBooks(), prices, states }), ...(await judgeCars())],
    };
  } finally {
    await buyers.stop();
  }
}

function conditionsOf(
  fast: PaidFigures,
  half: PaidFigures,
  { underWay, halfRate }: { underWay: number; halfRate: number },
): Conditions {
  return sayUnmeasured({
    purchases: fast.purchases,
    underWay,
    seconds: fast.seconds,
    perSecondWithMailOut: fast.perSecondWithMailOut,
    saturatedP50Ms: fast.p50Ms,
    saturatedP99Ms: fast.p99Ms,
    halfLoadPurchases: half.purchases,
    halfLoadPerSecond: Math.round(halfRate),
    halfLoadMaxMs: half.maxMs,
    halfLoadMicrosecondsAnActivation: describeCost(half.microseconds),
    halfLoadCommitsAnActivation: half.commits,
    halfLoadStatementsAnActivation: half.statements,
    microsecondsAnActivation: describeCost(fast.microseconds),
    commitsAnActivation: fast.commits,
    rollbacksAnActivation: fast.rollbacks,
    statementsAnActivation: fast.statements,
    measured:
      "first request sent to the last capture recorded, of purchases that the gateway's own books show captured once, every commit on disk; latency from the request (due time in the open loop) to the capture recorded; processor time until every mail is out too; statements that clients sent; commits as sessions have told them, which they do up to a second late",
    caution: "provisional where other work shares the machine",
  });
}

async function prepareBuyers(
  { databaseUrl, dataDir, rest }: Platform,
  vssUrl: string,
  cars: readonly SeededCar[],
  count: number,
  signal: AbortSignal,
): Promise<{ buyers: BuyersProcess; prices: ReadonlyMap<string, number> }> {
  const { services, owners } = await withClient(databaseUrl, async (client) => ({
    services: await addServices(client, count),
    owners: await signOwnersIn(client, cars),
  }));
  await registerAtWorkshops(
    { vssUrl, dataDir, now: new Date() },
    cars.map(({ vin }) => vin),
  );
  const serviceIds = services.map(({ id }) => id);
  return {
    buyers: await startBuyers({ serviceIds, buyers: owners, rest, databaseUrl }, signal),
    prices: new Map(services.map(({ id, priceCents }) => [id, priceCents])),
  };
}

function describeCost(cost: PaidFigures["microseconds"]): string {
  return cost === null ? "unknown here" : JSON.stringify(cost);
}
