import * as z from "zod";

// A run as it is kept: everything the terminal, the page and a later comparison need.

const count = z.int().min(0);
const counts = z.record(z.string(), count);
const ms = z.number().nullable();
const share = z.number().nullable();

export const numbersSchema = z.object({
  vehicles: count,
  /** At the end. */
  connected: count,
  /** Links lost that neither scenario nor weather took. */
  drops: count,
  activations: z.object({ sent: count, applied: count, failed: count, pending: count }),
  firstAttemptSuccess: share,
  p50Ms: ms,
  p95Ms: ms,
  p99Ms: ms,
  kbPerCar: z.number(),
  connectsPerSecond: z.number(),
});
/** The last line with `--json -`. */
export type Numbers = z.infer<typeof numbersSchema>;

const barsSchema = z.array(z.object({ upToMs: z.number(), count }));
const quantilesSchema = z.object({ p50Ms: ms, p95Ms: ms, p99Ms: ms, maxMs: ms });

export const runReportSchema = z.object({
  format: z.literal("caas-simulation-1"),
  startedAt: z.iso.datetime(),
  seconds: z.number(),
  command: z.string(),
  seed: z.int(),
  machine: z.record(z.string(), z.union([z.string(), z.number()])),
  world: z.string(),
  /** Absent in reports of earlier versions. */
  plan: z.string().default(""),
  scenario: z.object({ name: z.string(), describes: z.string() }),
  profile: z.object({ name: z.string(), describes: z.string(), isNormal: z.boolean() }),
  processes: count,
  numbers: numbersSchema,
  successAfterRetries: share,
  targets: z.array(
    z.object({
      target: z.string(),
      process: z.string(),
      metric: z.string(),
      wanted: z.string(),
      measured: z.number().nullable(),
      samples: count,
      verdict: z.enum(["met", "missed", "notMeasured"]),
    }),
  ),
  assertions: z.array(
    z.object({
      measure: z.string(),
      says: z.string(),
      wanted: z.string(),
      measured: z.number().nullable(),
      held: z.boolean(),
    }),
  ),
  waves: z.array(
    z.object({
      wave: z.string(),
      kind: z.enum(["bulk", "purchase"]),
      sent: count,
      applied: count,
      failed: count,
      pending: count,
      ...quantilesSchema.shape,
    }),
  ),
  carKinds: z.array(
    z.object({ kind: z.string(), cars: count, applied: count, failed: count, pending: count }),
  ),
  /** Attempts that failed, by the car's reason. */
  failures: counts,
  /** Cars whose change has not ended, by what they wait for. */
  pendingBecause: counts.default({}),
  latency: z.object({ quantiles: quantilesSchema, bars: barsSchema }),
  connecting: z.object({ quantiles: quantilesSchema, count }),
  reconnecting: z.object({ quantiles: quantilesSchema, count }),
  series: z.array(
    z.object({
      atS: z.number(),
      connected: count,
      sent: count,
      applied: count,
      failed: count,
      drops: count,
      p50Ms: ms,
      p99Ms: ms,
    }),
  ),
  links: z.object({ drops: counts, weather: counts, notConnected: counts, refused: counts }),
  attacks: counts,
  crashes: counts,
  doubleApplies: count,
  forgedAccepted: count,
  customers: z
    .object({
      arrived: count,
      bought: count,
      nothingToBuy: count,
      denied: counts,
      refused: counts,
      rest: quantilesSchema,
    })
    .nullable(),
  sales: z
    .object({
      begun: count,
      operational: count,
      /** Reports of before 28 November 2026 do not have it. */
      plansApplied: count.default(0),
      failed: counts,
      sale: quantilesSchema,
      credentials: quantilesSchema,
    })
    .nullable(),
  /** Longest that a process of cars was late: beyond a few ms, the latencies are the simulator's too. */
  generatorLagMs: z.number(),
  troubles: z.array(z.string()),
  /** `held`: everything asserted, and on a normal profile every target that was measured. */
  verdict: z.enum(["held", "missed"]),
  /** Why it was missed, a sentence each. */
  misses: z.array(z.string()),
});
export type RunReport = z.infer<typeof runReportSchema>;
