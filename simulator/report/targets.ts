// The specification's targets ("Process Performance Metrics") as this simulator reads them: its own copy, because it
// is the independent check. A root test holds it against the platform's.

export type Target = {
  /** Its id in docs/requirements.md. */
  row: string;
  /** As in the specification's table. */
  process: string;
  metric: string;
  /** `above`: a share; `below`: ms. The bound itself is a miss, as the table's signs say. */
  bound: { above: number } | { belowMs: number };
};

export const targets = {
  otaFirstAttempt: {
    row: "ME7",
    process: "OTA activation",
    metric: "First-attempt success rate",
    bound: { above: 0.95 },
  },
  otaAfterRetries: {
    row: "ME8",
    process: "OTA retry",
    metric: "Success rate after retries",
    bound: { above: 0.99 },
  },
  salesToCredentials: {
    row: "ME1",
    process: "Sales registration",
    metric: "Time from sale to credentials sent",
    bound: { belowMs: 3_600_000 },
  },
  maintenanceCheck: {
    row: "ME10",
    process: "Maintenance status check",
    metric: "API response time",
    bound: { belowMs: 2_000 },
  },
} as const satisfies Record<string, Target>;
export type TargetName = keyof typeof targets;

/** Fewer ends than this say nothing about a share of one in a hundred. */
const leastSamples = 20;

export type Measured = { value: number | null; samples: number };

export type Verdict = {
  target: TargetName;
  process: string;
  metric: string;
  wanted: string;
  measured: number | null;
  samples: number;
  /** `notMeasured` where too little of it happened. */
  verdict: "met" | "missed" | "notMeasured";
};

export function judgeTarget(target: TargetName, { value, samples }: Measured): Verdict {
  const { process, metric, bound } = targets[target];
  const isMet = value !== null && ("above" in bound ? value > bound.above : value < bound.belowMs);
  const enough = value !== null && samples >= ("above" in bound ? leastSamples : 1);
  return {
    target,
    process,
    metric,
    wanted: "above" in bound ? `> ${bound.above * 100} %` : `< ${wordsOfMs(bound.belowMs)}`,
    measured: value,
    samples,
    verdict: !enough ? "notMeasured" : isMet ? "met" : "missed",
  };
}

function wordsOfMs(ms: number): string {
  return ms >= 3_600_000 ? `${ms / 3_600_000} hour` : `${ms / 1_000} seconds`;
}
