import { createLatencies } from "@caas/simulator/measure/latencies.ts";
import { withClient } from "../../lab/database.ts";
import { addServices, registerAtWorkshops, signOwnersIn } from "../../lab/owners.ts";
import { costOf, readPartTimes } from "../../lab/part-times.ts";
import type { SeededCar } from "../../lab/seed-fleet.ts";
import { type SeededPlatform, withSeededPlatform } from "../../lab/seeded-platform.ts";
import type { Platform } from "../../start/platform.ts";
import type { Findings, Frame } from "../frame.ts";
import { round, type Tenths, tenthsOf } from "../statistics.ts";
import { listUnpaid, untilCarsAreOnline, untilMailIsOut } from "./audit.ts";
import { type Bought, type BuyersProcess, type Load, startBuyers } from "./buyers-process.ts";
import { readDatabaseCounters, startCountingPostgres } from "./database-counters.ts";

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
        failures: [...seeded.failures, ...paid.failures],
      };
    },
  );
}

export type PaidMeasured = {
  perSecond: number;
  halfLoadP50Ms: number;
  halfLoadP99Ms: number;
  generatorCpuShare: number | null;
  conditions: Readonly<Record<string, string | number>>;
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
  const buyers = await prepareBuyers(platform, standIns.vss, cars, services, frame.signal);
  try {
    const buy = async (what: string, count: number, load: Load): Promise<Bought> => {
      frame.say(`${what}: ${count} purchases`);
      return buyers.buy(count, load);
    };
    const closed: Load = { kind: "underWay", underWay };
    const warmed = await buy("warming up", warmUp, closed);
    await untilMailIsOut(databaseUrl, frame.signal);

    const counted = await readDatabaseCounters(databaseUrl);
    const before = readPartTimes();
    const fast = await buy(`as fast as they are captured, ${underWay} under way`, purchases, closed);
    const atEnd = readPartTimes();
    const mailOutMs = await untilMailIsOut(databaseUrl, frame.signal);
    const after = readPartTimes();
    const done = await readDatabaseCounters(databaseUrl);

    const captured = fast.purchases.filter(({ capturedMs }) => capturedMs !== null);
    const lastMs = Math.max(fast.startedMs, ...captured.map(({ capturedMs }) => capturedMs ?? 0));
    const seconds = Math.max(0.001, (lastMs - fast.startedMs) / 1000);
    const perSecond = captured.length / seconds;
    const halfRate = options.rate ?? Math.max(1, perSecond / 2);
    const beforeHalf = readPartTimes();
    const half = await buy(
      `at ${Math.round(halfRate)} a second`,
      Math.min(purchases, Math.ceil(halfRate * halfLoadSeconds)),
      { kind: "perSecond", perSecond: halfRate },
    );
    await untilMailIsOut(databaseUrl, frame.signal);
    const afterHalf = readPartTimes();
    const doneHalf = await readDatabaseCounters(databaseUrl);
    const saturated = latenciesOf(fast);
    const atHalf = latenciesOf(half);
    const shareOut = (count: number, among: readonly unknown[]) =>
      round(count / Math.max(1, among.length), 1);
    const per = (count: number) => shareOut(count, captured);
    const share =
      before === null || atEnd === null ? null : (atEnd.generator - before.generator) / 1e6 / seconds;
    return {
      perSecond: round(perSecond, 1),
      halfLoadP50Ms: atHalf.p50Ms,
      halfLoadP99Ms: atHalf.p99Ms,
      generatorCpuShare: share === null ? null : round(share, 2),
      conditions: {
        purchases: captured.length,
        underWay,
        seconds: round(seconds, 1),
        perSecondWithMailOut: round(captured.length / ((mailOutMs - fast.startedMs) / 1000), 1),
        saturatedP50Ms: saturated.p50Ms,
        saturatedP99Ms: saturated.p99Ms,
        halfLoadPurchases: half.purchases.length,
        halfLoadPerSecond: Math.round(halfRate),
        halfLoadMaxMs: atHalf.maxMs,
        halfLoadMicrosecondsAnActivation: describeCost(costOf(beforeHalf, afterHalf, half.purchases.length)),
        halfLoadCommitsAnActivation: shareOut(doneHalf.commits - done.commits, half.purchases),
        halfLoadStatementsAnActivation:
          doneHalf.statements === null || done.statements === null
            ? "not counted here"
            : shareOut(doneHalf.statements - done.statements, half.purchases),
        microsecondsAnActivation: describeCost(costOf(before, after, captured.length)),
        commitsAnActivation: per(done.commits - counted.commits),
        rollbacksAnActivation: per(done.rollbacks - counted.rollbacks),
        statementsAnActivation:
          done.statements === null || counted.statements === null
            ? "not counted here"
            : per(done.statements - counted.statements),
        measured:
          "first request sent to the last capture recorded, every commit on disk; latency from the request (due time in the open loop) to the capture recorded; processor time until every mail is out too",
        caution: "provisional where other work shares the machine",
      },
      failures: [
        ...(await listUnpaid(standIns.gateway, databaseUrl, [warmed, fast, half])),
        ...(await judgeCars()),
      ],
    };
  } finally {
    await buyers.stop();
  }
}

async function prepareBuyers(
  { databaseUrl, dataDir, rest }: Platform,
  vssUrl: string,
  cars: readonly SeededCar[],
  services: number,
  signal: AbortSignal,
): Promise<BuyersProcess> {
  const setUp = await withClient(databaseUrl, async (client) => ({
    serviceIds: (await addServices(client, services)).map(({ id }) => id),
    buyers: await signOwnersIn(client, cars),
  }));
  await registerAtWorkshops(
    { vssUrl, dataDir, now: new Date() },
    cars.map(({ vin }) => vin),
  );
  return startBuyers({ ...setUp, rest, databaseUrl }, signal);
}

function describeCost(cost: ReturnType<typeof costOf>): string {
  return cost === null ? "unknown here" : JSON.stringify(cost);
}

function latenciesOf({ purchases }: Bought): Tenths {
  const latencies = createLatencies();
  for (const { capturedMs, intendedMs } of purchases)
    if (capturedMs !== null) latencies.record(capturedMs - intendedMs);
  return tenthsOf(latencies);
}
