import { decodeLatencies } from "@caas/simulator/measure/latencies.ts";
import { expect, test } from "vitest";
import { activationFiguresOf, type Measured } from "./activation-figures.ts";

const active = (latencyMs: number | null): Measured => ({ state: "ServiceActive", attempts: 1, latencyMs });
/** 1 ms to 100 ms. */
const hundred = Array.from({ length: 100 }, (_, index) => active(index + 1));

test("the rate is of the burst, the percentiles of the arrivals at a steady rate", () => {
  const figures = activationFiguresOf(
    { samples: hundred, burst: [10, 20, 30, 40].map(active), burstMs: 500 },
    250,
  );
  expect(figures).toMatchObject({
    numbers: { activationsPerSecond: 8, p50Ms: 50, p99Ms: 99 },
    ...{ latencySamples: 100, maxMs: 100, burstActivations: 4, burstP99Ms: 40, failures: [] },
  });
  expect(figures.raw).toMatchObject({ burst: 4, burstMs: 500 });
  expect(decodeLatencies(figures.raw.latencies).count).toBe(100);
});

test.each<{ what: string; samples: readonly Measured[]; says: readonly string[] }>([
  { what: "nothing was bought", samples: [], says: ["nothing was measured"] },
  { what: "it is slower than is allowed", samples: [active(90)], says: ["p99 is 90 ms, above 50 ms"] },
  {
    what: "the proof has the same time as the hold",
    samples: [active(20), active(0)],
    says: ["1 of 2 activations took no time"],
  },
  {
    what: "the step of the proof is not found",
    samples: [active(20), active(null)],
    says: ["1 of 2 activations took no time"],
  },
  {
    what: "it took another attempt",
    samples: [active(20), { ...active(20), attempts: 2 }],
    says: ["1 of 2 activations did not become active at their first attempt (one is ServiceActive after 2)"],
  },
  {
    what: "it was given up",
    samples: [{ state: "NoCharge", attempts: 5, latencyMs: null }],
    says: ["1 of 1 activations did not become active at their first attempt (one is NoCharge after 5)"],
  },
])("the run fails when $what", ({ samples, says }) => {
  expect(activationFiguresOf({ samples, burst: [], burstMs: 0 }, 50).failures).toEqual(says);
});

test("what was not measured is null and not 0", () => {
  const { numbers } = activationFiguresOf({ samples: [], burst: [], burstMs: 0 }, 250);
  expect(numbers).toEqual({ activationsPerSecond: null, p50Ms: null, p99Ms: null });
});
