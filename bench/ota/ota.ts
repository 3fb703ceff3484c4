import { realClock } from "@caas/contract/business-clock.ts";
import { manifestEntrySchema, signManifest } from "@caas/contract/manifest.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { openKeyRing } from "@caas/control-plane/fleet-link/key-ring.ts";
import * as z from "zod";
import { readPartTimes } from "../../lab/part-times.ts";
import { keysFolderOf, type SeededPlatform, withSeededPlatform } from "../../lab/seeded-platform.ts";
import type { Findings, Frame } from "../frame.ts";
import { measurePurchases } from "../paid/paid.ts";
import { measureCostRatio } from "./cost-ratio.ts";
import { latenciesOf, rateOf } from "./ota-figures.ts";
import { comparedCars, type OnPlatform, reportOta } from "./ota-report.ts";
import { compareBrokers } from "./raw-comparison.ts";
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
  return reportOta(options, onPlatform, raw, compared);
}

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
    const sizesAfter = await proofs.measureSizes();

    const perSecond = Math.max(1, (rateOf(rollOut) ?? 0) / 2);
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
      half,
      paid,
      times: { before, after },
      sizes: { before: sizesBefore, after: sizesAfter },
      latenciesAtHalf: latenciesOf(half.waves, await proofs.read(half)),
      latencies: latenciesOf(rollOut.waves, await proofs.read(rollOut)),
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
