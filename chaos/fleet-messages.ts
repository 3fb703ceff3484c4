import { vinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";

// What the rehearsal and its processes of cars say to each other.

const probabilities = z.record(z.string(), z.number());

const crashSchema = z.object({ at: z.string(), passage: z.int().min(1) });
const fateSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("healthy") }),
  z.object({ kind: z.literal("crashes"), ...crashSchema.shape }),
  z.object({ kind: z.literal("rejects") }),
  z.object({ kind: z.literal("unhealthy"), crash: crashSchema.nullable() }),
  z.object({ kind: z.literal("sleepsForDays"), beforeBuying: z.boolean() }),
  z.object({ kind: z.literal("sleepsTooLong") }),
  z.object({ kind: z.literal("overdue") }),
]);

export const setUpSchema = z.object({
  kind: z.literal("setUp"),
  /** A JSON file of `CarCredentials`; private to its user. */
  credentialsFile: z.string(),
  fates: z.record(z.string(), fateSchema),
  storage: z.union([z.object({ folder: z.string() }), z.object({ disks: z.string() })]),
  /** Appended to: one line for every version a car has processed. */
  commitsFile: z.string(),
  brokerUrl: z.string(),
  businessTime: z.string(),
  seed: z.int(),
  link: z.object({ toCar: probabilities, fromCar: probabilities }),
  isHealed: z.boolean(),
  outOfReach: z.array(z.string()),
  /** `place:passage`, empty for none: where this process dies. */
  failpoints: z.string(),
});
export type SetUp = z.infer<typeof setUpSchema>;

export const orderSchema = z.discriminatedUnion("kind", [
  setUpSchema,
  z.object({ kind: z.literal("cutOff"), vins: z.array(z.string()) }),
  z.object({ kind: z.literal("reach"), vins: z.array(z.string()) }),
  z.object({ kind: z.literal("heal") }),
  z.object({ kind: z.literal("show") }),
  /** Everybody asleep and written down; then the process ends. */
  z.object({ kind: z.literal("stop") }),
]);
export type Order = z.infer<typeof orderSchema>;

const countsByName = z.record(z.string(), z.int());

export const countsSchema = z.object({
  connected: z.int(),
  applied: z.int(),
  failed: countsByName,
  refused: countsByName,
  crashes: countsByName,
  /** What the link did to packets. */
  link: countsByName,
});
export type FleetSays = z.infer<typeof countsSchema>;

/** What the active slot of one car really holds. */
export const heldSchema = z.object({
  vin: vinSchema,
  version: z.int(),
  hash: z.string(),
  codes: z.array(z.string()),
  isConnected: z.boolean(),
});
export type HeldByCar = z.infer<typeof heldSchema>;

export const answerSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("up") }),
  z.object({ kind: z.literal("counts"), counts: countsSchema }),
  z.object({ kind: z.literal("shown"), cars: z.array(heldSchema), counts: countsSchema }),
]);
export type Answer = z.infer<typeof answerSchema>;

/** A line of the commits file. */
export const commitSchema = z.object({
  vin: z.string(),
  version: z.int(),
  result: z.enum(["applied", "failed"]),
});
export type Commit = z.infer<typeof commitSchema>;
