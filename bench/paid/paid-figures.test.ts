import { decodeLatencies } from "@caas/simulator/measure/latencies.ts";
import { describe, expect, test } from "vitest";
import type { GatewayIntent } from "../../lab/gateway-books.ts";
import type { PartTimes } from "../../lab/part-times.ts";
import { judgePurchases, listPaidOnce, type PurchaseEvidence } from "./audit.ts";
import type { Purchase } from "./buyers-process.ts";
import { type PaidReadings, paidFiguresOf, rawOf } from "./paid-figures.ts";

const startedMs = 1_000_000;

/** Bought 100 ms after the one before it, and captured 200 ms later. */
const purchase = (index: number): Purchase => ({
  activationId: `activation ${index}`,
  state: "ServiceActive",
  paymentId: `payment ${index}`,
  paymentStatus: "captured",
  serviceId: "seats",
  intendedMs: startedMs + 100 * index,
  capturedMs: startedMs + 100 * index + 200,
});
const purchases = Array.from({ length: 19 }, (_, index) => purchase(index));

const times = (us: number): PartTimes => ({
  ...{ broker: us, controlPlane: 10 * us, postgres: 5 * us, partners: 4 * us },
  ...{ fleet: us, generator: us, driver: us, other: 0 },
});

const readings: PaidReadings = {
  bought: { purchases, refused: {}, startedMs, endedMs: startedMs + 2_500 },
  captured: new Set(purchases.map(({ activationId }) => activationId)),
  mailOutMs: startedMs + 3_800,
  times: { before: times(1_000), atEnd: times(401_000), after: times(1_901_000) },
  work: { commits: 38, rollbacks: 19, statements: 57 },
};

test("paid activations, latencies, processor time and statements come from counts and times", () => {
  expect(paidFiguresOf(readings)).toEqual({
    purchases: 19,
    // From the first request to the last capture.
    seconds: 2,
    perSecond: 9.5,
    perSecondWithMailOut: 5,
    ...{ p50Ms: 200, p99Ms: 200, maxMs: 200 },
    generatorCpuShare: 0.2,
    microseconds: times(100_000),
    commits: 2,
    rollbacks: 1,
    statements: 3,
  });
  const raw = rawOf(readings);
  expect(raw).toMatchObject({ sent: 19, capturedAtGateway: 19, counted: 19, lastCaptureMs: 2_000 });
  expect(raw).toMatchObject({ mailOutMs: 3_800, generatorUs: 400_000, statements: 57, commits: 38 });
  expect(raw.microseconds).toEqual(times(1_900_000));
  expect(decodeLatencies(raw.latencies)).toMatchObject({ count: 19 });
});

test("only what the gateway captured is counted", () => {
  const captured = new Set(["activation 0", "activation 1", "of nobody"]);
  expect(paidFiguresOf({ ...readings, captured })).toMatchObject({
    purchases: 2,
    seconds: 0.3,
    perSecond: (2 / 300) * 1_000,
    statements: 28.5,
  });
});

test("nothing is said to be measured when the gateway's books show nothing, or there is no /proc", () => {
  expect(paidFiguresOf({ ...readings, captured: new Set() })).toMatchObject({
    purchases: 0,
    ...{ seconds: null, perSecond: null, p50Ms: null, p99Ms: null, maxMs: null },
    ...{ microseconds: null, commits: null, statements: null },
  });
  const unknown = { before: null, atEnd: null, after: null };
  const work = { ...readings.work, statements: "the server forgot statements" };
  expect(paidFiguresOf({ ...readings, times: unknown, work })).toMatchObject({
    ...{ generatorCpuShare: null, microseconds: null, statements: "the server forgot statements" },
  });
});

describe("what makes a run of purchases fail", () => {
  const intent = ({ activationId }: Purchase): GatewayIntent => ({
    ...{
      id: `pi of ${activationId}`,
      activationId,
      status: "succeeded",
      capturedCents: 900,
      refundedCents: 0,
      disputedCents: 0,
      networkErrors: 0,
    },
  });
  const some = purchases.slice(0, 3);
  const [first, second] = some;
  if (first === undefined || second === undefined) throw new Error("there are three");
  const good: PurchaseEvidence = {
    bought: [
      { purchases: some.slice(0, 1), refused: {} },
      { purchases: some.slice(1), refused: {} },
    ],
    intents: some.map(intent),
    prices: new Map([["seats", 900]]),
    states: new Map(some.map(({ activationId }) => [activationId, "ServiceActive"])),
  };
  const others = some.slice(1).map(intent);

  test("nothing, when each was captured once", () => {
    expect(judgePurchases(good)).toEqual([]);
    expect(listPaidOnce(good)).toEqual(new Set(some.map(({ activationId }) => activationId)));
  });

  test.each<{ what: string; evidence: Partial<PurchaseEvidence>; says: string }>([
    {
      what: "the gateway's books are empty",
      evidence: { intents: [] },
      says: "the gateway did not capture the price of 3 purchases exactly once",
    },
    {
      what: "one was charged twice",
      evidence: { intents: [...good.intents, { ...intent(first), id: "pi again" }] },
      says: "the gateway did not capture the price of 1 purchases exactly once",
    },
    {
      what: "another price was charged",
      evidence: { intents: [{ ...intent(first), capturedCents: 901 }, ...others] },
      says: "the gateway did not capture the price of 1 purchases exactly once",
    },
    {
      what: "one is only held",
      evidence: { intents: [{ ...intent(first), capturedCents: 0 }, ...others] },
      says: "the gateway did not capture the price of 1 purchases exactly once",
    },
    {
      what: "one was given back",
      evidence: { intents: [{ ...intent(first), refundedCents: 900 }, ...others] },
      says: "the gateway did not capture the price of 1 purchases exactly once",
    },
    {
      what: "a bank took one back",
      evidence: { intents: [{ ...intent(first), disputedCents: 900 }, ...others] },
      says: "the gateway did not capture the price of 1 purchases exactly once",
    },
    {
      what: "somebody else was charged",
      evidence: { intents: [...good.intents, { ...intent(first), activationId: "unknown" }] },
      says: "the gateway captured 1 payments that no purchase asked for",
    },
    {
      what: "a service is not active",
      evidence: { states: new Map([...good.states, [first.activationId, "OTAQueue"]]) },
      says: "1 of 3 purchases did not end at ServiceActive",
    },
    {
      what: "an activation is unknown",
      evidence: { states: new Map([...good.states].slice(1)) },
      says: "1 of 3 purchases did not end at ServiceActive",
    },
    {
      what: "the platform has not recorded a capture",
      evidence: { bought: [{ purchases: [{ ...first, capturedMs: null }, ...some.slice(1)], refused: {} }] },
      says: "the capture of 1 purchases is not recorded",
    },
    {
      what: "requests were refused",
      evidence: { bought: [{ purchases: some, refused: { 503: 4 } }] },
      says: "4 purchases were answered with 503",
    },
    { what: "nothing was bought", evidence: { bought: [], intents: [] }, says: "nothing was bought" },
  ])("$what", ({ evidence, says }) => {
    expect(judgePurchases({ ...good, ...evidence })).toEqual([says]);
  });
});
