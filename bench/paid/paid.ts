import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareBuyers } from "../../lab/owners.ts";
import { costOf, readPartTimes } from "../../lab/part-times.ts";
import { type Platform, startPlatform } from "../../start/platform.ts";
import { openSecrets } from "../../start/secrets.ts";
import { type FleetProcess, startFleetProcess } from "../fleet-process.ts";
import type { Findings, Frame } from "../frame.ts";
import { createHistogram, quantilesOf, recordMs } from "../ota/roll-out-proofs.ts";
import { listUnpaid, untilCarsAreOnline, untilMailIsOut } from "./audit.ts";
import { type Bought, type Load, startPaidGenerator } from "./buyers-process.ts";
import { readDatabaseCounters, startCountingPostgres } from "./database-counters.ts";

export type PaidOptions = {
  cars: number;
  purchases: number;
  underWay: number;
  /** Of the open loop, a second; half of what the closed loop reached when left out. */
  rate?: number;
  seed: number;
};

/** The half load lasts about so long. */
const halfLoadSeconds = 10;

/** Starts the whole platform with real agents in a process of their own, and buys services in their cars. */
export async function measurePaid(options: PaidOptions, frame: Frame): Promise<Findings> {
  const dataDir = mkdtempSync(join(tmpdir(), "caas-bench-"));
  chmodSync(dataDir, 0o711); // the database's user passes through it
  const failures: string[] = [];
  const onFailure = (reason: string) => void failures.push(reason);
  try {
    const database = await startCountingPostgres(dataDir, onFailure);
    try {
      const environment = { ...process.env, DATABASE_URL: database.url };
      const platform = await startPlatform({
        dataDir,
        ports: "free",
        environment,
        onFailure,
        signal: frame.signal,
      });
      try {
        frame.say(`Seeding and connecting ${options.cars} cars`);
        const fleet = await startFleetProcess({
          databaseUrl: platform.databaseUrl,
          keysDir: join(dataDir, "keys"),
          brokerUrl: `mqtt://127.0.0.1:${platform.ports.mqtt}`,
          carSecret: openSecrets(dataDir).BROKER_CAR_SECRET,
          cars: options.cars,
          seed: options.seed,
          signal: frame.signal,
        });
        try {
          const paid = await measurePurchases(platform, fleet, options, frame);
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
            failures: [...failures, ...paid.failures],
          };
        } finally {
          await fleet.stop();
        }
      } finally {
        await platform.stop();
      }
    } finally {
      await database.stop();
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

export type PaidMeasured = {
  perSecond: number;
  halfLoadP50Ms: number;
  halfLoadP99Ms: number;
  generatorCpuShare: number | null;
  conditions: Readonly<Record<string, string | number>>;
  failures: readonly string[];
};

/** On a platform that runs, with the cars of `fleet` connected. Every figure counts only what the gateway captured. */
export async function measurePurchases(
  platform: Platform,
  fleet: FleetProcess,
  options: PaidOptions,
  frame: Frame,
): Promise<PaidMeasured> {
  const { cars, purchases, underWay } = options;
  const { databaseUrl, standIns } = platform;
  if (standIns === null) throw new Error("purchases are measured with our own stand-ins only");
  await untilCarsAreOnline(databaseUrl, cars, frame.signal);
  const warmUp = Math.min(cars, 4 * underWay, Math.ceil(purchases / 4));
  const generator = await startPaidGenerator({
    ...(await prepareBuyers({
      databaseUrl,
      vssUrl: standIns.vss,
      dataDir: platform.dataDir,
      services: Math.ceil((warmUp + 2 * purchases) / cars) + 1,
      now: new Date(),
    })),
    rest: platform.rest,
    databaseUrl,
    signal: frame.signal,
  });
  try {
    const buy = async (what: string, count: number, load: Load): Promise<Bought> => {
      frame.say(`${what}: ${count} purchases`);
      return generator.buy(count, load);
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
      Math.round((count / Math.max(1, among.length)) * 10) / 10;
    const per = (count: number) => shareOut(count, captured);
    const share =
      before === null || atEnd === null ? null : (atEnd.generator - before.generator) / 1e6 / seconds;
    const verdict = await fleet.judge();
    return {
      perSecond: Math.round(perSecond * 10) / 10,
      halfLoadP50Ms: atHalf.p50Ms,
      halfLoadP99Ms: atHalf.p99Ms,
      generatorCpuShare: share === null ? null : Math.round(share * 100) / 100,
      conditions: {
        purchases: captured.length,
        underWay,
        seconds: Math.round(seconds * 10) / 10,
        perSecondWithMailOut: Math.round((captured.length / ((mailOutMs - fast.startedMs) / 1000)) * 10) / 10,
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
        ...(verdict.notConverged > 0
          ? [`${verdict.notConverged} cars hold something else than they shall`]
          : []),
        ...(verdict.failed > 0 || verdict.refused > 0
          ? [`the cars failed ${verdict.failed} changes and refused ${verdict.refused} messages`]
          : []),
      ],
    };
  } finally {
    await generator.stop();
  }
}

function describeCost(cost: ReturnType<typeof costOf>): string {
  return cost === null ? "unknown here" : JSON.stringify(cost);
}

function latenciesOf({ purchases }: Bought) {
  const histogram = createHistogram();
  for (const { capturedMs, intendedMs } of purchases)
    if (capturedMs !== null) recordMs(histogram, capturedMs - intendedMs);
  return quantilesOf(histogram);
}
