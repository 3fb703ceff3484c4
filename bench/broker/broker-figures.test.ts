import { expect, test } from "vitest";
import { type ConnectSample, connectRowOf, memoryRowOf, messageRowOf, ratioOf } from "./broker-figures.ts";
import type { LoadSample } from "./load.ts";
import { roundTripFiguresOf } from "./round-trip.ts";
import type { Contender } from "./rows.ts";

/** 2,000 messages in half a second. */
const sample = (brokerUs: number | null, messages = 2_000): LoadSample => ({
  ...{ messages, seconds: 0.5, p50Ms: 3, p99Ms: 9, brokerUs, generatorUs: 250_000 },
});

test("a row of messages has the medians of its turns: a second, µs a message, shares of a core", () => {
  const samples = new Map<Contender, LoadSample[]>([
    ["ours", [sample(20_000), sample(40_000), sample(30_000, 1_000)]],
    ["aedes", [sample(60_000), sample(60_000), sample(60_000)]],
  ]);
  expect(messageRowOf("fan-in", "messages/s", samples)).toEqual({
    load: "fan-in",
    unit: "messages/s",
    ...{ ours: 4_000, aedes: 4_000, mosquitto: null },
    cpuUs: { ours: 20, aedes: 30, mosquitto: null },
    brokerCpuShare: { ours: 0.06, aedes: 0.12, mosquitto: null },
    generatorCpuShare: { ours: 0.5, aedes: 0.5, mosquitto: null },
    // 30 µs to 10, 20 and 30 in the three turns.
    oursToAedes: { median: 1.5, low: 1, high: 3, pairs: 3 },
    oursToMosquitto: null,
  });
});

test("a ratio compares what happened in the same turn, and leaves out what could not be read", () => {
  const ours = [sample(100), sample(200), sample(null), sample(400)];
  const theirs = [sample(200), sample(200), sample(200)];
  expect(ratioOf(ours, theirs)).toEqual({ median: 1.5, low: 1, high: 2, pairs: 2 });
  expect(ratioOf([], theirs)).toBeNull();
});

test("a row of connects has cars a second and µs a car", () => {
  const turn = (ms: number, brokerUs: number | null): ConnectSample => ({
    ...{ cars: 100, ms, brokerUs, generatorUs: 50_000 },
  });
  const samples = new Map<Contender, ConnectSample[]>([
    ["ours", [turn(250, 20_000), turn(500, 30_000), turn(200, 10_000)]],
    ["mosquitto", [turn(100, null)]],
  ]);
  expect(connectRowOf("connect, TLS", samples)).toEqual({
    load: "connect, TLS",
    unit: "connects/s",
    ...{ ours: 400, aedes: null, mosquitto: 1_000 },
    cpuUs: { ours: 200, aedes: null, mosquitto: null },
    generatorCpuShare: { ours: 0.2, aedes: null, mosquitto: 0.5 },
  });
});

test("memory is what each connection adds, in thousands of bytes", () => {
  const samples = new Map([
    ["ours", { few: 1_000, many: 16_000, before: 60_000_000, after: 315_000_000 }],
    ["aedes", { few: 1_000, many: 16_000, before: null, after: null }],
  ] as const);
  expect(memoryRowOf("memory", samples)).toEqual({
    ...{ load: "memory", unit: "KB", ours: 17, aedes: null, mosquitto: null },
  });
});

test("a round trip has its rate, µs of the broker and shares of a core", () => {
  const shape = { broker: "ours", clients: 10, concurrency: 5 };
  expect(roundTripFiguresOf(sample(100_000), shape)).toEqual({
    ...shape,
    ...{ seconds: 0.5, roundTrips: 2_000, perSecond: 4_000, p50Ms: 3, p99Ms: 9 },
    ...{ brokerCpuUs: 50, brokerCpuShare: 0.2, generatorCpuShare: 0.5 },
  });
});
