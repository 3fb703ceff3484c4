import { createLatencies } from "@caas/simulator/measure/latencies.ts";
import { expect, test } from "vitest";
import type { PartTimes } from "../../lab/part-times.ts";
import type { RoundTripResult } from "../broker/round-trip.ts";
import { costBetween, costRatioOf } from "./cost-ratio.ts";
import { latenciesOf, rateOf, rawOf, rollOutFiguresOf } from "./ota-figures.ts";
import { type OnPlatform, reportOta } from "./ota-report.ts";
import { type Compared, summarise } from "./raw-comparison.ts";
import type { RollOut } from "./roll-out-driver.ts";

const startedMs = 5_000;
const rollOut: RollOut = { waves: [], changes: 8_000, startedMs, provedMs: startedMs + 4_000 };
const half: RollOut = { waves: [], changes: 9_000, startedMs, provedMs: startedMs + 9_000 };
const sizes = {
  before: new Map([
    ["steps", 1_000_000],
    ["timers", 8_192],
  ]),
  after: new Map([
    ["steps", 2_936_000],
    ["timers", 8_192],
    ["plan_proofs", 1_952_000],
  ]),
};
const times = (us: number): PartTimes => ({
  ...{ broker: us, controlPlane: 3 * us, postgres: 2 * us, partners: 0 },
  ...{ fleet: 4 * us, generator: 0, driver: us, other: 0 },
});
const waves = ["a", "b"].map((car, index) => ({
  vehicleIds: [car, "c"],
  intendedMs: 1_000 * index,
  committedMs: 1_000 * index + 10,
}));
const latencies = latenciesOf(
  waves,
  new Map([
    ["a", [50]],
    ["b", [1_090]],
    ["c", [30, 1_070]],
  ]),
);

const measured: OnPlatform = {
  ...{ rollOut, half, latencies, latenciesAtHalf: latencies, sizes },
  times: { before: times(1_000), after: times(401_000) },
  ...{ paid: null, conflicts: 0, manifestBytes: 667, reportBytes: 756, failures: [] },
};

test("changes a second, processor µs a change, shares of a core and bytes a change come from counts and times", () => {
  expect(rollOutFiguresOf(measured)).toEqual({
    carsPerSecond: 2_000,
    seconds: 4,
    halfLoadPerSecond: 1_000,
    halfLoad: { p50Ms: 40, p99Ms: 80, maxMs: 80, measured: 4, p99FromIntendedMs: 90 },
    saturated: { p50Ms: 40, p99Ms: 80, maxMs: 80 },
    cost: times(50),
    // Fleet and driver: 2 s of processor time in 4 s.
    generatorCpuShare: 0.5,
    driverCpuShare: 0.1,
    bytesPerChange: 242 + 244,
    growth: new Map([
      ["steps", 242],
      ["plan_proofs", 244],
    ]),
  });
  expect(rawOf(measured)).toMatchObject({
    ...{ changes: 8_000, ms: 4_000, halfChanges: 9_000, halfMs: 9_000 },
    microseconds: times(400_000),
    bytes: { steps: 1_936_000, plan_proofs: 1_952_000 },
  });
});

test("each proof of a car belongs to the next of its waves, and a change without proof is not counted", () => {
  expect(latencies.fromCommit.count).toBe(4);
  expect(latenciesOf(waves, new Map([["c", [30]]])).fromCommit.count).toBe(1);
  expect(latenciesOf(waves, new Map()).fromCommit.quantiles().p99Ms).toBeNull();
});

test("nothing is said to be measured when nothing was rolled out, or there is no /proc", () => {
  const none: RollOut = { waves: [], changes: 0, startedMs, provedMs: startedMs };
  const empty = { fromCommit: createLatencies(), fromIntended: createLatencies() };
  const figures = rollOutFiguresOf({
    ...{ rollOut: none, half: none, latencies: empty, latenciesAtHalf: empty, sizes },
    times: { before: null, after: null },
  });
  expect(rateOf(none)).toBeNull();
  expect(figures).toMatchObject({ carsPerSecond: null, cost: null, generatorCpuShare: null });
  expect(figures).toMatchObject({ bytesPerChange: null, halfLoad: { p99Ms: null, measured: 0 } });
});

test("the cost ratio is the median of the pairs, each half by its processor time a change", () => {
  const cost = (us: number) => ({ controlPlane: us, postgres: us, broker: us, driver: us });
  expect(costBetween(cost(1_000), cost(7_000), 3_000)).toEqual(cost(2));
  const pairs = [
    { few: cost(100), many: cost(110) },
    { few: cost(100), many: cost(90) },
    { few: cost(200), many: cost(210) },
  ];
  expect(costRatioOf(pairs, 3_000)).toEqual({
    ...{ ratio: 1.05, low: 0.9, high: 1.1, pairs: 3, changesAHalf: 3_000 },
    ...{ few: cost(100), many: cost(110), halves: pairs },
  });
  expect(costRatioOf([], 3_000)).toBeNull();
});

const roundTrips = (perSecond: number, brokerCpuUs: number): RoundTripResult => ({
  ...{ broker: "mosquitto 2", clients: 10, concurrency: 10, seconds: 1, roundTrips: perSecond, perSecond },
  ...{ p50Ms: 1, p99Ms: 2, brokerCpuUs, brokerCpuShare: 0.9, generatorCpuShare: 0.5 },
});

test("round trips of several turns are their medians", () => {
  expect(summarise([roundTrips(900, 30), roundTrips(1_100, 20)])).toMatchObject({
    ...{ perSecond: 1_000, brokerCpuUs: 25, brokerCpuShare: 0.9, generatorCpuShare: 0.5 },
  });
  expect(summarise([])).toBeNull();
});

test("the report of a roll-out compares it with Mosquitto's round trips", () => {
  const turns = { ours: { qos0: [], qos1: [] }, mosquitto: { qos0: [], qos1: [] } };
  const raw: Compared = {
    ours: { qos0: roundTrips(20_000, 20), qos1: roundTrips(16_000, 29) },
    mosquitto: { qos0: roundTrips(25_000, 17), qos1: roundTrips(16_000, 28) },
    ...{ whyNoMosquitto: "", turns },
  };
  const options = { cars: 5_000, changes: 8_000, wave: 500, rawSeconds: 5, purchases: 0 };
  const pairs = [{ few: times(1), many: times(1) }];
  const found = reportOta(
    { ...options, filled: 100_000, pairs: 1, seed: 1 },
    measured,
    raw,
    costRatioOf(pairs, 3_000),
  );
  expect(found.numbers).toEqual({
    rolloutCarsPerSecond: 2_000,
    halfLoadP99Ms: 80,
    mosquittoRoundTripsPerSecond: 16_000,
    ratio: 0.125,
    ratioQos0: 0.08,
    paidActivationsPerSecond: null,
    bytesPerChange: 486,
    costRatio100kTo1k: 1,
    loadGeneratorCpuShare: 0.5,
    brokerCpuUs: { ours: 20, oursQos1: 29, mosquitto: 28, mosquittoQos0: 17 },
  });
  expect(found.conditions).toMatchObject({ seconds: 4, halfLoadPerSecond: 1_000, driverCpuShare: 0.1 });
});
