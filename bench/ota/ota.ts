import { realClock } from "@caas/contract/business-clock.ts";
import { manifestEntrySchema, signManifest } from "@caas/contract/manifest.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { openKeyRing } from "@caas/control-plane/fleet-link/key-ring.ts";
import * as z from "zod";
import { costOf, type PartTimes, readPartTimes } from "../../lab/part-times.ts";
import { keysFolderOf, type SeededPlatform, withSeededPlatform } from "../../lab/seeded-platform.ts";
import type { Findings, Frame } from "../frame.ts";
import { measurePurchases, type PaidMeasured } from "../paid/paid.ts";
import { round } from "../statistics.ts";
import { type CostRatio, measureCostRatio } from "./cost-ratio.ts";
import { type Compared, compareBrokers } from "./raw-comparison.ts";
import { openRollOutDriver, type RollOut } from "./roll-out-driver.ts";
import { openRollOutProofs, type RollOutProofs } from "./roll-out-proofs.ts";

export type OtaOptions = {
  cars: number;
  changes: number;
  wave: number;
  rawSeconds: number;
  /** Services bought in the cars after the roll-outs, over REST; 0: none. */
  purchases: number;
  /** Cars in the tables of the larger of two installations whose costs are compared; 0: not compared. */
  filled: number;
  /** Pairs of halves in that comparison. */
  pairs: number;
  seed: number;
};

/** Connected in each of the two installations. */
const comparedCars = 1_000;

/** Each in another car. */
const purchasesUnderWay = 200;
/** The half load lasts about this long. */
const halfLoadSeconds = 10;
/** Waves of the half load are small, so that a wave is not itself the load's peak. */
const halfLoadWavesPerSecond = 20;

/** Starts the whole platform with a fleet of real agents in a process of its own, and rolls changes out to it. */
export async function measureOta(options: OtaOptions, frame: Frame): Promise<Findings> {
  const onPlatform = await withSeededPlatform({ ...frame, ...options }, (seeded) =>
    measureRollOuts(seeded, options, frame),
  );
  // The parts are closed by now: a broker alone is not measured beside a busy platform.
  const raw = await compareBrokers({
    clients: options.cars,
    measureMs: options.rawSeconds * 1000,
    requestBytes: onPlatform.manifestBytes,
    replyBytes: onPlatform.reportBytes,
    frame,
  });
  const compared =
    options.filled <= comparedCars || frame.signal.aborted
      ? null
      : await measureCostRatio({ ...options, connected: comparedCars }, frame);
  return report(options, onPlatform, raw, compared);
}

type OnPlatform = {
  rollOut: RollOut;
  /** `null`: not measured. */
  paid: PaidMeasured | null;
  carsPerSecond: number;
  cost: ReturnType<typeof costOf>;
  generatorCpuShare: number | null;
  driverCpuShare: number | null;
  bytesPerChange: number | null;
  growth: ReadonlyMap<string, number>;
  halfLoad: Awaited<ReturnType<RollOutProofs["measure"]>> & { perSecond: number; changes: number };
  saturated: Awaited<ReturnType<RollOutProofs["measure"]>>;
  conflicts: number;
  manifestBytes: number;
  reportBytes: number;
  failures: readonly string[];
};

async function measureRollOuts(
  seeded: SeededPlatform,
  options: OtaOptions,
  frame: Frame,
): Promise<OnPlatform> {
  const { platform } = seeded;
  const { cars, changes } = options;
  let progress = frame.startProgress("warming up", cars);
  const advance = (count: number) => progress.advance(count);
  const driver = await openRollOutDriver(platform.databaseUrl, frame.signal, advance);
  const proofs = await openRollOutProofs(platform.databaseUrl);
  try {
    const wave = Math.max(1, Math.min(options.wave, Math.floor(cars / 4)));
    const shape = { wave, underWay: Math.max(wave, Math.min(4 * wave, Math.floor(cars / 2))) };
    const warmUp = await driver.rollOut(cars, shape);
    progress.end();

    const sizesBefore = await proofs.measureSizes();
    progress = frame.startProgress("changes as fast as they are proved", changes);
    const before = readPartTimes();
    const rollOut = await driver.rollOut(changes, shape);
    const after = readPartTimes();
    progress.end();
    const growth = growthOf(sizesBefore, await proofs.measureSizes(), rollOut.changes);
    const seconds = (rollOut.provedMs - rollOut.startedMs) / 1000;
    const carsPerSecond = rollOut.changes / seconds;

    const perSecond = Math.max(1, carsPerSecond / 2);
    const halfChanges = Math.min(changes, Math.ceil(perSecond * halfLoadSeconds));
    progress = frame.startProgress(`changes at ${Math.round(perSecond)} a second`, halfChanges);
    const half = await driver.rollOutAtRate(halfChanges, {
      wave: Math.max(1, Math.min(Math.floor(cars / 4), Math.ceil(perSecond / halfLoadWavesPerSecond))),
      perSecond,
    });
    progress.end();

    const unproved = await listUnproved(proofs, seeded, [warmUp, rollOut, half]);
    const underWay = Math.min(purchasesUnderWay, cars);
    const paid =
      options.purchases === 0 || frame.signal.aborted
        ? null
        : await measurePurchases(seeded, { ...options, underWay }, frame);
    const bytes = await measureMessages(proofs, keysFolderOf(platform));
    return {
      rollOut,
      paid,
      carsPerSecond,
      cost: costOf(before, after, rollOut.changes),
      generatorCpuShare: shareOf(before, after, seconds, ["fleet", "driver"]),
      driverCpuShare: shareOf(before, after, seconds, ["driver"]),
      bytesPerChange: rollOut.changes === 0 ? null : growth.values().reduce((sum, one) => sum + one, 0),
      growth,
      halfLoad: {
        ...(await proofs.measure(half)),
        changes: half.changes,
        perSecond: (half.changes / (half.provedMs - half.startedMs)) * 1000,
      },
      saturated: await proofs.measure(rollOut),
      conflicts: driver.conflicts(),
      ...bytes,
      failures: [...seeded.failures, ...unproved, ...(paid?.failures ?? [])],
    };
  } finally {
    await proofs.close();
    await driver.close();
  }
}

/** Sentences unless every change has its signed report, and every car's slot holds what it must. */
async function listUnproved(
  proofs: RollOutProofs,
  seeded: SeededPlatform,
  rollOuts: readonly RollOut[],
): Promise<string[]> {
  const changes = rollOuts.reduce((sum, rollOut) => sum + rollOut.changes, 0);
  const [proved, open] = [await proofs.count(), await proofs.countOpen()];
  return [
    ...(proved === changes ? [] : [`${proved} of ${changes} changes were proved`]),
    ...(open > 0 ? [`${open} cars have something under way or report something else`] : []),
    ...(await seeded.judgeCars()),
  ];
}

/** The bytes that one change puts on the wire each way, for the raw round trip. */
async function measureMessages(proofs: RollOutProofs, keysDir: string) {
  const sample = await proofs.readSample();
  if (sample === null) return { manifestBytes: 1, reportBytes: 1 };
  const { keySet, signingKey } = await openKeyRing(keysDir, realClock);
  const anyHash = "h".repeat(43);
  const manifest = signManifest(
    {
      vin: parseVin(sample.vin),
      version: 10,
      hash: anyHash,
      proofKey: anyHash,
      keySetVersion: keySet.version,
      issuedAt: new Date().toISOString(),
      entries: z.array(manifestEntrySchema).parse(sample.entries),
    },
    signingKey,
  );
  return { manifestBytes: Buffer.byteLength(manifest), reportBytes: sample.reportBytes };
}

/** Bytes per change by table, for tables that grew. */
function growthOf(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  changes: number,
): Map<string, number> {
  const grown = after
    .entries()
    .map(([name, bytes]): [string, number] => [
      name,
      Math.round((bytes - (before.get(name) ?? 0)) / Math.max(1, changes)),
    ]);
  return new Map(grown.filter(([, bytes]) => bytes !== 0));
}

function shareOf(
  before: PartTimes | null,
  after: PartTimes | null,
  seconds: number,
  parts: readonly ("fleet" | "driver")[],
): number | null {
  if (before === null || after === null || seconds === 0) return null;
  const us = parts.reduce((sum, part) => sum + after[part] - before[part], 0);
  return round(us / 1e6 / seconds, 2);
}

function report(
  options: OtaOptions,
  measured: OnPlatform,
  raw: Compared,
  compared: CostRatio | null,
): Findings {
  const { halfLoad, saturated, rollOut } = measured;
  const ours = raw.ours.qos0;
  // At QoS 1, which a peer that rests on the broker's word would need; the platform does not, and speaks at QoS 0.
  const mosquitto = raw.mosquitto.qos1;
  const ratioTo = (peer: { perSecond: number } | null) =>
    peer === null ? null : round(measured.carsPerSecond / peer.perSecond, 3);
  return {
    numbers: {
      rolloutCarsPerSecond: Math.round(measured.carsPerSecond),
      halfLoadP99Ms: halfLoad.measured === 0 ? null : halfLoad.fromCommit.p99Ms,
      mosquittoRoundTripsPerSecond: mosquitto === null ? null : Math.round(mosquitto.perSecond),
      ratio: ratioTo(mosquitto),
      ratioQos0: ratioTo(raw.mosquitto.qos0),
      paidActivationsPerSecond: measured.paid?.perSecond ?? null,
      bytesPerChange: measured.bytesPerChange,
      costRatio100kTo1k: compared === null || options.filled !== 100_000 ? null : round(compared.ratio, 2),
      loadGeneratorCpuShare: measured.generatorCpuShare,
      brokerCpuUs: {
        ours: ours?.brokerCpuUs ?? null,
        oursQos1: raw.ours.qos1?.brokerCpuUs ?? null,
        mosquitto: mosquitto?.brokerCpuUs ?? null,
        mosquittoQos0: raw.mosquitto.qos0?.brokerCpuUs ?? null,
      },
    },
    whyNull: {
      ...(measured.paid === null
        ? { paidActivationsPerSecond: "not measured: --purchases leaves it out, or the run was stopped" }
        : {}),
      ...(compared === null
        ? {
            costRatio100kTo1k:
              "not compared: --filled leaves it out, the run was stopped, or there is no /proc here",
          }
        : options.filled === 100_000
          ? {}
          : { costRatio100kTo1k: `compared with ${options.filled} cars; the ratio is below` }),
      ...(halfLoad.measured === 0 ? { halfLoadP99Ms: "the run was stopped before its turn" } : {}),
      ...(ours === null || mosquitto === null ? { brokerCpuUs: raw.whyNoMosquitto } : {}),
      ...(mosquitto === null
        ? {
            mosquittoRoundTripsPerSecond: raw.whyNoMosquitto,
            ratio: raw.whyNoMosquitto,
            ratioQos0: raw.whyNoMosquitto,
          }
        : {}),
    },
    conditions: {
      cars: options.cars,
      changes: rollOut.changes,
      waves: rollOut.waves.length,
      seconds: round((rollOut.provedMs - rollOut.startedMs) / 1000, 1),
      halfLoadChanges: halfLoad.measured,
      halfLoadPerSecond: Math.round(halfLoad.perSecond),
      halfLoadP50Ms: halfLoad.fromCommit.p50Ms,
      halfLoadMaxMs: halfLoad.fromCommit.maxMs,
      halfLoadP99FromIntendedMs: halfLoad.fromIntended.p99Ms,
      saturatedP99Ms: saturated.fromCommit.p99Ms,
      microsecondsAChange: measured.cost === null ? "unknown here" : JSON.stringify(measured.cost),
      paid: measured.paid === null ? "not measured" : JSON.stringify(describePaid(measured.paid)),
      driverCpuShare: measured.driverCpuShare ?? "unknown here",
      bytesPerChangeByTable: JSON.stringify(Object.fromEntries(measured.growth)),
      wavesWrittenAgain: measured.conflicts,
      manifestBytes: measured.manifestBytes,
      reportBytes: measured.reportBytes,
      ownRoundTripsPerSecond: ours === null ? "not measured" : Math.round(ours.perSecond),
      rawGeneratorCpuShare: ours === null ? "not measured" : round(ours.generatorCpuShare, 2),
      mosquittoCpuShare: mosquitto?.brokerCpuShare ?? "not measured",
      mosquitto: mosquitto?.broker ?? "none",
      ...(compared === null
        ? {}
        : {
            costRatio: round(compared.ratio, 3),
            costRatio95: `${round(compared.low, 2)}–${round(compared.high, 2)}`,
            costRatioPairs: compared.pairs,
            costRatioChangesAHalf: compared.changesAHalf,
            costRatioMicrosecondsFew: JSON.stringify(compared.few),
            costRatioMicrosecondsMany: JSON.stringify(compared.many),
            costRatioMeasured: `processor time a change in two installations in turns, ${comparedCars} cars connected to each, ${options.filled} in the tables of one; the driver's writing counts, the cars' does not`,
          }),
      command: `npm run bench -- ota --cars ${options.cars} --changes ${options.changes} --wave ${options.wave} --raw-seconds ${options.rawSeconds} --purchases ${options.purchases} --filled ${options.filled} --pairs ${options.pairs} --seed ${options.seed}`,
      measured:
        "first wave begun to nothing under way, as the driver saw it; latency from a wave's commit to recorded_at of planApplied, which is read before its own commit; plain MQTT, one entry a manifest; shares are of one core",
      caution: "provisional where other work shares the machine",
    },
    failures: measured.failures,
  };
}

/** Its own command says the same in more words: `npm run bench -- paid`. */
function describePaid({ halfLoadP50Ms, halfLoadP99Ms, generatorCpuShare, conditions }: PaidMeasured) {
  const { command: _command, measured: _measured, caution: _caution, ...figures } = { ...conditions };
  return { halfLoadP50Ms, halfLoadP99Ms, generatorCpuShare, ...figures };
}
