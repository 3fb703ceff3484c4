import { failpointNames } from "@caas/vehicle-agent/failpoints.ts";
import * as z from "zod";
import { faultKinds } from "../link/fault-schedule.ts";

// What a kind of car is, as probabilities. A car draws from its kind's row by the run's seed and its own VIN.

const share = z.number().min(0).max(1);
/** Mean of an exponential distribution, business time. */
const meanSeconds = z.number().positive().max(31_536_000);

/** Where a change can fail, and what the car's report will then give as its reason. */
export const failureStages = {
  /** The car's systems say no beforehand: `adapterRejected`, permanent. */
  check: "adapterRejected",
  /** The free slot cannot be written: `stagingFailed`. */
  staging: "stagingFailed",
  /** The switch to it fails: `switchFailed`. */
  switch: "switchFailed",
  /** The car's systems do not take it: `adapterRejected`. */
  apply: "adapterRejected",
  /** What was written reads back damaged: `healthCheckFailed`. */
  readBack: "healthCheckFailed",
  /** It is taken, and the car does not work with it: `probeFailed`. */
  probe: "probeFailed",
} as const;
export type FailureStage = keyof typeof failureStages;

/** What a malicious car sends; none of it may affect other cars. */
export const attackKinds = ["forgedReport", "garbageReport", "foreignTopic", "oversizedTelemetry"] as const;
export type AttackKind = (typeof attackKinds)[number];

const stages = z.enum(["check", "staging", "switch", "apply", "readBack", "probe"]);

export const carKindSchema = z.strictObject({
  describes: z.string().min(1).max(200),
  /** Without it the car stays connected. `goodbye`: it sleeps in order; else the link goes silently. */
  connectivity: z
    .strictObject({ onlineSeconds: meanSeconds, offlineSeconds: meanSeconds, goodbye: z.boolean() })
    .optional(),
  /** The share of its time in which the car drives; a staged change waits then, which is no attempt. */
  driving: z.strictObject({ share, tripSeconds: meanSeconds }).optional(),
  /** The share of its time in which the traction battery is too low for a change. */
  lowBattery: z.strictObject({ share, seconds: meanSeconds }).optional(),
  /** Sends COVESA readings once a minute of business time. */
  telemetry: z.boolean().default(false),
  /** How long the car's systems take for a change, real time, log-normal: half are faster than `median`. */
  applyMs: z.strictObject({ median: z.number().min(0).max(600_000), sigma: z.number().min(0).max(3) }),
  /** For each change that brings something new; together at most 1. */
  failures: z
    .array(z.strictObject({ stage: stages, chance: share, detail: z.string().min(1).max(200) }))
    .refine((rows) => rows.reduce((sum, { chance }) => sum + chance, 0) <= 1 + 1e-9, "add up to more than 1")
    .default([]),
  /** Power is lost once in the middle of a change, at one of these places. */
  reboot: z.strictObject({ chance: share, at: z.array(z.enum(failpointNames)).min(1) }).optional(),
  /** The car's own clock: its largest offset either way, and its largest drift in ppm. */
  clock: z
    .strictObject({ offsetSeconds: z.number().min(0).max(31_536_000), driftPpm: z.number().min(0).max(500) })
    .optional(),
  /** What the link does to a packet, both ways. */
  link: z.partialRecord(z.enum(faultKinds), share).optional(),
  attacks: z
    .strictObject({ everySeconds: meanSeconds, kinds: z.array(z.enum(attackKinds)).min(1) })
    .optional(),
});
export type CarKind = z.infer<typeof carKindSchema>;
