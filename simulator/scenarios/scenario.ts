import { dayMs } from "@caas/contract/durations.ts";
import * as z from "zod";
import { profileSchema, profiles } from "../behaviour/profile.ts";

// A scenario is a file: what fleet, how it comes up, what happens when, and what must hold at the end.

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** `90s`, `1.5m`, `250ms`; a bare number is seconds. In real ms. */
export const durationSchema = z.union([z.number().min(0), z.string()]).transform((given, context) => {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(String(given));
  const ms = found === null ? Number.NaN : Number(found[1]) * unitMs[unitOf(found[2])];
  if (ms <= dayMs) return ms;
  context.addIssue({ code: "custom", message: "must be a duration of at most a day, such as 90s or 5m" });
  return z.NEVER;
});

function unitOf(text: string | undefined): keyof typeof unitMs {
  return text === "ms" || text === "m" || text === "h" ? text : "s";
}

const share = z.number().gt(0).max(1);
const wholeFleet = share.default(1);
const now = durationSchema.default(0);

/** What a step does: exactly one of these. */
const actions = {
  /** One change for many cars, wave by wave; those that fail get it again. */
  bulkChange: z.strictObject({
    share: wholeFleet,
    /** Over how long the waves are spread (open loop). */
    over: durationSchema.default(10_000),
    waveSize: z.int().min(1).max(5_000).default(200),
    /** Tries after the first for a car that failed. */
    retries: z.int().min(0).max(10).default(4),
  }),
  /** Customers who look through the catalogue and buy, as they come (open loop). */
  purchases: z.strictObject({
    perSecond: z.number().gt(0).max(10_000),
    for: durationSchema,
    /** Mean time between looking and buying. */
    thinkTime: durationSchema.default(1_000),
    /** Share of the customers whose card is refused. */
    badCards: z.number().min(0).max(1).default(0),
  }),
  /** New customers: sold, built, enrolled, delivered and linked over REST. */
  sales: z.strictObject({
    count: z.int().min(1).max(10_000),
    perSecond: z.number().gt(0).max(100).default(1),
  }),
  /** Every one of these cars loses its link in the same moment and comes back. */
  reconnectStorm: z.strictObject({ share: wholeFleet }),
  /** A part of the fleet has no network for a while. */
  outage: z.strictObject({ share, for: durationSchema }),
  /** The broker is ended and started again. */
  brokerRestart: z.strictObject({
    downFor: durationSchema.default(2_000),
    how: z.enum(["kill", "stop"]).default("kill"),
  }),
  /** The keys that sign what cars are told are rotated, or the one in use is revoked, as an operator does it. */
  keyChange: z.strictObject({ how: z.enum(["rotate", "revoke"]).default("rotate") }),
  /** Cars go to sleep in order. */
  sleep: z.strictObject({ share: wholeFleet, over: now }),
  wake: z.strictObject({ share: wholeFleet, over: now }),
} as const;
export type ActionName = keyof typeof actions;
export const actionNames = Object.keys(actions).filter((name): name is ActionName =>
  Object.hasOwn(actions, name),
);

const stepSchema = z
  .strictObject({
    at: now,
    name: z.string().min(1).max(60).optional(),
    bulkChange: actions.bulkChange.optional(),
    purchases: actions.purchases.optional(),
    sales: actions.sales.optional(),
    reconnectStorm: actions.reconnectStorm.optional(),
    outage: actions.outage.optional(),
    brokerRestart: actions.brokerRestart.optional(),
    keyChange: actions.keyChange.optional(),
    sleep: actions.sleep.optional(),
    wake: actions.wake.optional(),
  })
  .refine(
    (step) => actionNames.filter((name) => step[name] !== undefined).length === 1,
    `a step does exactly one thing: ${actionNames.join(", ")}`,
  );
export type Step = z.infer<typeof stepSchema>;

/** What an assertion can be about; each is one number of the run's end. */
export const measures = {
  connectedShare: "cars connected at the end, of those that must be",
  connectedOnceShare: "cars that were connected at least once, of all",
  drops: "links lost that neither the scenario nor the weather took",
  appliedShare: "changes applied, of those sent",
  pending: "changes with no end yet",
  failed: "changes that failed for good",
  firstAttemptSuccess: "changes applied at their first attempt, of those whose first attempt ended",
  successAfterRetries: "changes applied, of those that ended",
  p50Ms: "median from when a change was meant to begin to its proof",
  p95Ms: "95th percentile of the same",
  p99Ms: "99th percentile of the same",
  reconnectP99Ms: "99th percentile of how long a car took to be connected again",
  connectsPerSecond: "cars connected a second while they came up",
  kbPerCar: "memory of the simulator, KB a car",
  doubleApplies: "versions a car committed twice",
  forgedAccepted: "forged documents that a car believed",
  soldShare: "sales that ended in a car ready for use, of those begun",
  customersRefused: "purchases that the platform refused or did not answer",
} as const;
export type Measure = keyof typeof measures;
const measureName = z.enum(
  Object.keys(measures).filter((name): name is Measure => Object.hasOwn(measures, name)),
);

const assertionSchema = z
  .strictObject({
    measure: measureName,
    atLeast: z.number().optional(),
    atMost: z.number().optional(),
  })
  .refine(
    ({ atLeast, atMost }) => (atLeast === undefined) !== (atMost === undefined),
    "says either atLeast or atMost",
  );
export type Assertion = z.infer<typeof assertionSchema>;

const fieldsSchema = z.strictObject({
  describes: z.string().min(1).max(300),
  /** `--vehicles` wins. */
  vehicles: z.int().min(1).max(1_000_000).default(200),
  /** A profile's name, or one of the scenario's own. `--profile` wins. */
  profile: z
    .union([
      z.string().refine((name) => Object.hasOwn(profiles, name), {
        error: `is none of ${Object.keys(profiles).join(", ")}`,
      }),
      profileSchema,
    ])
    .default("normal"),
  /** Over how long the cars come up; nothing else happens meanwhile. */
  ramp: durationSchema.default(0),
  /** From the first step's zero, after the ramp. */
  duration: durationSchema.default(30_000),
  /** How long unfinished changes are waited for afterwards. */
  settle: durationSchema.default(15_000),
  /** Business time runs so many times as fast: retries, deadlines, journeys. Only on a platform of our own. */
  timeScale: z.number().min(1).max(10_000).default(1),
  steps: z.array(stepSchema).max(200),
  assertions: z.array(assertionSchema).max(50).default([]),
});

export const scenarioSchema = fieldsSchema.superRefine(({ steps, duration }, context) => {
  for (const [index, { at }] of steps.entries())
    if (at >= duration)
      context.addIssue({
        code: "custom",
        path: ["steps", index, "at"],
        message: `is not before the end of the scenario, whose duration is ${duration / 1000} s`,
      });
});
export type Scenario = z.infer<typeof scenarioSchema>;
