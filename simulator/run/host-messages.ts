import { enrolmentPackageSchema } from "@caas/contract/enrolment.ts";
import * as z from "zod";
import { profileSchema } from "../behaviour/profile.ts";
import { fateSchema } from "../fleet/profiles.ts";

// What the conductor of a run and the processes that host its cars say to each other.

const vins = z.array(z.string());

export const prepareSchema = z.strictObject({
  kind: z.literal("prepare"),
  /** Holds the host's part of the fleet. */
  folder: z.string(),
  /** `file`: the cars live in memory, and in one file between two runs. `disks`: each car has a folder of its own. */
  storage: z.enum(["file", "disks"]),
  packages: z.array(enrolmentPackageSchema),
  /** Cars in other hosts that come before this host's own. */
  firstIndex: z.int().min(0),
  seed: z.int(),
  profile: profileSchema,
  /** Pins what each of these cars does with a change, instead of its kind; a car that is not named is healthy. */
  fates: z.record(z.string(), fateSchema).nullable(),
  outOfReach: vins,
  /** No link spoils a packet. */
  isHealed: z.boolean(),
  /** Replaces the broker's address that enrolment gave. */
  brokerUrl: z.string().nullable(),
  businessTime: z.string().nullable(),
  /** Whether the news hold each outcome, for measuring. */
  tellsOutcomes: z.boolean(),
  /** Where this process dies, as `CAAS_FAILPOINTS`; empty for nowhere. */
  failpoints: z.string(),
  /** Appended to: a line for every version a car has processed (commits-file.ts). */
  commitsFile: z.string().nullable(),
});
export type Prepare = z.infer<typeof prepareSchema>;

export const commandSchema = z.discriminatedUnion("kind", [
  prepareSchema,
  /** Cars come up evenly over this time. */
  z.strictObject({ kind: z.literal("wake"), vins, overMs: z.number().min(0) }),
  z.strictObject({ kind: z.literal("sleep"), vins, overMs: z.number().min(0) }),
  /** Their links are lost without notice and stay away for this time. */
  z.strictObject({
    kind: z.literal("cut"),
    vins,
    forMs: z.number().min(0),
    reason: z.enum(["regional outage", "storm"]),
  }),
  /** The same until they are in reach again. */
  z.strictObject({ kind: z.literal("cutOff"), vins }),
  z.strictObject({ kind: z.literal("reach"), vins }),
  /** Every connection ends, and the next ones spoil nothing. */
  z.strictObject({ kind: z.literal("heal"), vins }),
  /** A car just built: it enrols and comes up. */
  z.strictObject({ kind: z.literal("adopt"), package: enrolmentPackageSchema }),
  /** A car that has lost what proves it gets another package, and comes up with it. */
  z.strictObject({ kind: z.literal("enrolAgain"), package: enrolmentPackageSchema }),
  /** Answered with how many of these wait for what. */
  z.strictObject({ kind: z.literal("explain"), vins }),
  /** Answered with what the active slots of these cars hold. */
  z.strictObject({ kind: z.literal("show"), vins }),
  z.strictObject({ kind: z.literal("stop") }),
]);
export type Command = z.infer<typeof commandSchema>;

/** What the active slot of a car really holds. */
export const heldSchema = z.object({ vin: z.string(), hash: z.string(), codes: z.array(z.string()) });
export type HeldByCar = z.infer<typeof heldSchema>;

const carSchema = z.object({ vin: z.string(), carKind: z.string() });
export const preparedSchema = z.array(carSchema);

export const countsSchema = z.record(z.string(), z.number());

/** What happened since the last news, and the present state. */
export const newsSchema = z.object({
  kind: z.literal("news"),
  connected: z.int(),
  /** Since the host began. */
  doubleApplies: z.int(),
  forgedAccepted: z.int(),
  reports: z.int(),
  /** Changes by the reason of their failure. */
  failed: countsSchema,
  refused: countsSchema,
  crashes: countsSchema,
  /** What bad links did to packets. */
  spoilt: countsSchema,
  /** Resident memory now, and before the first car. */
  rssBytes: z.number(),
  emptyRssBytes: z.number(),
  /** Processor time of the process so far. */
  cpuMs: z.number(),
  /** The longest that the host's loop was late since the last news. */
  loopLagMs: z.number(),
  outcomes: z.array(
    z.object({
      vin: z.string(),
      version: z.int(),
      /** Real ms since the epoch. */
      atMs: z.number(),
      /** `applied`, or the reason. */
      result: z.string(),
    }),
  ),
  /** How long cars took to connect, from when they were meant to or were cut off, ms. */
  connectMs: z.array(z.number()),
  /** Links of cars that were to stay connected and did not, by reason. */
  drops: countsSchema,
  /** The same where the simulation wanted it. */
  weather: countsSchema,
  /** Connections that were not made, by reason. */
  notConnected: countsSchema,
  attacks: countsSchema,
  /** What linking codes cars show. */
  codes: z.array(z.object({ vin: z.string(), code: z.string() })),
});
export type News = z.infer<typeof newsSchema>;

/** What a host says without being asked. */
export const toldSchema = z.discriminatedUnion("kind", [
  newsSchema,
  z.object({ kind: z.literal("adopted"), ...carSchema.shape }),
  /** It stays down until it is enrolled again. */
  z.object({ kind: z.literal("needsEnrolment"), vin: z.string() }),
]);
export type Told = z.infer<typeof toldSchema>;
