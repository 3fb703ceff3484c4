import { type Findings, sayUnmeasured } from "../frame.ts";
import type { PaidMeasured } from "../paid/paid.ts";
import { round, roundKnown } from "../statistics.ts";
import type { CostRatio } from "./cost-ratio.ts";
import type { OtaOptions } from "./ota.ts";
import { type RollOutReadings, rawOf, rollOutFiguresOf } from "./ota-figures.ts";
import type { Compared } from "./raw-comparison.ts";

/** What was found on the platform. `paid`: `null` where nothing was bought. */
export type OnPlatform = RollOutReadings & {
  paid: PaidMeasured | null;
  conflicts: number;
  manifestBytes: number;
  reportBytes: number;
  failures: readonly string[];
};

/** Connected in each of the two installations whose costs are compared. */
export const comparedCars = 1_000;

export function reportOta(
  options: OtaOptions,
  measured: OnPlatform,
  raw: Compared,
  compared: CostRatio | null,
): Findings {
  const { rollOut } = measured;
  const figures = rollOutFiguresOf(measured);
  const { carsPerSecond, halfLoad, saturated } = figures;
  const ours = raw.ours.qos0;
  // At QoS 1, which a peer that rests on the broker's word would need; the platform does not, and speaks at QoS 0.
  const mosquitto = raw.mosquitto.qos1;
  const ratioTo = (peer: { perSecond: number } | null) =>
    peer === null || carsPerSecond === null ? null : round(carsPerSecond / peer.perSecond, 3);
  return {
    numbers: {
      rolloutCarsPerSecond: roundKnown(carsPerSecond, 0),
      halfLoadP99Ms: halfLoad.p99Ms,
      mosquittoRoundTripsPerSecond: mosquitto === null ? null : Math.round(mosquitto.perSecond),
      ratio: ratioTo(mosquitto),
      ratioQos0: ratioTo(raw.mosquitto.qos0),
      paidActivationsPerSecond: measured.paid?.perSecond ?? null,
      bytesPerChange: figures.bytesPerChange,
      costRatio100kTo1k: compared === null || options.filled !== 100_000 ? null : round(compared.ratio, 2),
      loadGeneratorCpuShare: figures.generatorCpuShare,
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
    conditions: sayUnmeasured({
      cars: options.cars,
      changes: rollOut.changes,
      waves: rollOut.waves.length,
      seconds: round(figures.seconds, 1),
      halfLoadChanges: halfLoad.measured,
      halfLoadPerSecond: roundKnown(figures.halfLoadPerSecond, 0),
      halfLoadP50Ms: halfLoad.p50Ms,
      halfLoadMaxMs: halfLoad.maxMs,
      halfLoadP99FromIntendedMs: halfLoad.p99FromIntendedMs,
      saturatedP99Ms: saturated.p99Ms,
      microsecondsAChange: figures.cost === null ? "unknown here" : JSON.stringify(figures.cost),
      paid: measured.paid === null ? "not measured" : JSON.stringify(describePaid(measured.paid)),
      driverCpuShare: figures.driverCpuShare ?? "unknown here",
      bytesPerChangeByTable: JSON.stringify(Object.fromEntries(figures.growth)),
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
    }),
    raw: {
      rollOut: rawOf(measured),
      paid: measured.paid?.raw ?? null,
      roundTrips: raw.turns,
      costRatio: compared?.halves ?? null,
    },
    failures: measured.failures,
  };
}

/** Its own command says the same in more words: `npm run bench -- paid`. */
function describePaid({ halfLoadP50Ms, halfLoadP99Ms, generatorCpuShare, conditions }: PaidMeasured) {
  const { command: _command, measured: _measured, caution: _caution, ...figures } = { ...conditions };
  return { halfLoadP50Ms, halfLoadP99Ms, generatorCpuShare, ...figures };
}
