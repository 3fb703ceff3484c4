import { createLatencies, type Latencies } from "@caas/simulator/measure/latencies.ts";
import { perSecond, roundKnown, tenthsOf } from "../statistics.ts";

/** How an activation went, by the real times of its steps. */
export type Measured = {
  state: string;
  attempts: number;
  /** The hold's authorisation recorded → the car's signed report recorded; `null` when it was never proved. */
  latencyMs: number | null;
};

export type ActivationReadings = {
  /** Of the open loop. */
  samples: readonly Measured[];
  /** Of the closed loop, and how long it took. */
  burst: readonly Measured[];
  burstMs: number;
};

export function activationFiguresOf(readings: ActivationReadings, maxP99Ms: number) {
  const { samples, burst, burstMs } = readings;
  const latencies = latenciesOf(samples);
  const ofBurst = latenciesOf(burst);
  const { p50Ms, p99Ms, maxMs } = tenthsOf(latencies);
  return {
    numbers: { activationsPerSecond: roundKnown(perSecond(ofBurst.count, burstMs), 1), p50Ms, p99Ms },
    latencySamples: latencies.count,
    maxMs,
    burstActivations: ofBurst.count,
    burstP99Ms: tenthsOf(ofBurst).p99Ms,
    raw: { latencies: latencies.encode(), burst: ofBurst.count, burstMs, burstLatencies: ofBurst.encode() },
    failures: [
      ...explainUnproved([...samples, ...burst]),
      ...(p99Ms !== null && p99Ms > maxP99Ms ? [`p99 is ${p99Ms} ms, above ${maxP99Ms} ms`] : []),
    ],
  };
}

/** Of those that took any time. */
function latenciesOf(measured: readonly Measured[]): Latencies {
  const latencies = createLatencies();
  for (const { latencyMs } of measured) if (latencyMs !== null && latencyMs > 0) latencies.record(latencyMs);
  return latencies;
}

function explainUnproved(measured: readonly Measured[]): string[] {
  if (measured.length === 0) return ["nothing was measured"];
  const others = measured.filter(({ state, attempts }) => state !== "ServiceActive" || attempts !== 1);
  const [first] = others;
  if (first !== undefined)
    return [
      `${others.length} of ${measured.length} activations did not become active at their first attempt (one is ${first.state} after ${first.attempts})`,
    ];
  const timeless = measured.filter(({ latencyMs }) => latencyMs === null || latencyMs <= 0).length;
  return timeless === 0 ? [] : [`${timeless} of ${measured.length} activations took no time`];
}
