import * as z from "zod";
import { type JwsRefusal, type SigningKey, signJws, type VerifyingKey, verifyJwsBy } from "./jws.ts";
import { hasOnly, isCount, isHash, isInstant } from "./plain-checks.ts";
import { countSchema, hashSchema } from "./signed-values.ts";
import { type Vin, vinSchema } from "./vin.ts";

// The report is the car's signed answer: what it holds now and what became of the last version it processed.

/** Where applying stopped. `staged` covers writing beside the active slot, `health` reading back and the probe. */
export const failureReasons = [
  "adapterRejected",
  "stagingFailed",
  "switchFailed",
  "healthCheckFailed",
  "probeFailed",
  "interrupted",
  "applyBeforePassed",
] as const;
export type FailureReason = (typeof failureReasons)[number];

/** `permanent`: the same change will fail again in this car; `transient`: another attempt may succeed. */
export const failureClasses = ["transient", "permanent"] as const;

/** Eleven days: no change takes as long. */
const longestTimingMs = 1_000_000_000;
const timingSchema = z.number().min(0).max(longestTimingMs);
export const timingsSchema = z.strictObject({
  verifiedMs: timingSchema,
  stagedMs: timingSchema.optional(),
  switchedMs: timingSchema.optional(),
  checkedMs: timingSchema.optional(),
});

/** Final for its version: a car processes each version at most once and repeats this when asked again. */
export const outcomeSchema = z.discriminatedUnion("result", [
  z.strictObject({
    result: z.literal("applied"),
    version: countSchema(1),
    hash: hashSchema,
    appliedAt: z.iso.datetime(),
    timings: timingsSchema,
  }),
  z.strictObject({
    result: z.literal("failed"),
    version: countSchema(1),
    hash: hashSchema,
    reason: z.enum(failureReasons),
    failureClass: z.enum(failureClasses),
    detail: z.string().max(500),
    rolledBack: z.boolean(),
    timings: timingsSchema,
  }),
]);

export type Outcome = z.infer<typeof outcomeSchema>;

/** Of refused messages: there are fewer kinds. */
const mostReasons = 64;

export const reportSchema = z.strictObject({
  vin: vinSchema,
  /** Persisted and strictly increasing; an older one has no effect. */
  seq: countSchema(1),
  /**
   * What is active in the car: version 0 and the empty hash before the first manifest; version 0 and another hash where
   * the disk was damaged, and so no version is held.
   */
  active: z.strictObject({ version: countSchema(0), hash: hashSchema }),
  /** Of the newest version the car has processed; `null` before the first. */
  outcome: outcomeSchema.nullable(),
  /** A staged version that waits for a condition in the car; no attempt. */
  deferred: z
    .strictObject({ version: countSchema(1), reason: z.enum(["driving", "lowBattery", "locked"]) })
    .nullable(),
  /** Messages refused since the last report, by reason: security events. */
  refused: z
    .record(z.string().max(64), countSchema(1))
    .refine((counts) => Object.keys(counts).length <= mostReasons, "too many reasons"),
  keySetVersion: countSchema(0),
  sentAt: z.iso.datetime(),
});

export type Report = z.infer<typeof reportSchema>;

export function signReport(report: Report, key: SigningKey): string {
  return signJws("caas-report+jws", report, key);
}

export type ReportRefusal = JwsRefusal | "invalid" | "otherVehicle";

/** Verifies that `token` was signed by the proof key of `vin` and has a report's shape. */
export function verifyReport(
  token: string,
  expected: { vin: Vin; key: VerifyingKey },
): { kind: "accepted"; report: Report } | { kind: "refused"; reason: ReportRefusal } {
  const result = verifyJwsBy("caas-report+jws", token, expected.key);
  if (result.kind === "refused") return result;
  if (isPlainReport(result.payload, expected.vin)) return { kind: "accepted", report: result.payload };
  const parsed = reportSchema.safeParse(result.payload);
  if (!parsed.success) return { kind: "refused", reason: "invalid" };
  if (parsed.data.vin !== expected.vin) return { kind: "refused", reason: "otherVehicle" };
  return { kind: "accepted", report: parsed.data };
}

/**
 * Whether the schema would take `value` as it is, answered by hand for the report that a healthy fleet sends, at a
 * tenth of the schema's time. `false` says nothing: the schema decides. A test holds it against the schema.
 */
export function isPlainReport(value: unknown, vin: Vin): value is Report {
  if (!hasOnly(value, reportKeys, reportKeys.length) || value.vin !== vin) return false;
  const { active, outcome } = value;
  return (
    isCount(value.seq, 1) &&
    hasOnly(active, activeKeys, activeKeys.length) &&
    isCount(active.version, 0) &&
    isHash(active.hash) &&
    hasOnly(outcome, appliedKeys, appliedKeys.length) &&
    outcome.result === "applied" &&
    isCount(outcome.version, 1) &&
    isHash(outcome.hash) &&
    isInstant(outcome.appliedAt) &&
    hasOnly(outcome.timings, timingKeys, 1) &&
    "verifiedMs" in outcome.timings &&
    Object.values(outcome.timings).every(
      (ms) => typeof ms === "number" && ms >= 0 && ms <= longestTimingMs,
    ) &&
    value.deferred === null &&
    hasOnly(value.refused, [], 0) &&
    isCount(value.keySetVersion, 0) &&
    isInstant(value.sentAt)
  );
}

const reportKeys = Object.keys(reportSchema.shape);
const activeKeys = Object.keys(reportSchema.shape.active.shape);
const appliedKeys = Object.keys(outcomeSchema.options[0].shape);
const timingKeys = Object.keys(timingsSchema.shape);
