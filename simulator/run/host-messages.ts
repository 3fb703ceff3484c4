import { enrolmentPackageSchema } from "@caas/contract/enrolment.ts";
import * as z from "zod";
import { profileSchema } from "../behaviour/profile.ts";

// What the run's conductor and the processes that host its cars say to each other.

export const prepareSchema = z.strictObject({
  kind: z.literal("prepare"),
  /** Holds the host's part of the fleet in one file. */
  folder: z.string(),
  packages: z.array(enrolmentPackageSchema),
  /** Cars in other hosts that come before this host's own. */
  firstIndex: z.int().min(0),
  seed: z.int(),
  profile: profileSchema,
  /** Replaces the broker's address that enrolment gave. */
  brokerUrl: z.string().nullable(),
  businessTime: z.string().nullable(),
});

const vins = z.array(z.string());

export const commandSchema = z.discriminatedUnion("kind", [
  prepareSchema,
  /** Cars come up evenly over so long. */
  z.strictObject({ kind: z.literal("wake"), vins, overMs: z.number().min(0) }),
  z.strictObject({ kind: z.literal("sleep"), vins, overMs: z.number().min(0) }),
  /** Their links go without a word and stay away for so long. */
  z.strictObject({
    kind: z.literal("cut"),
    vins,
    forMs: z.number().min(0),
    reason: z.enum(["regional outage", "storm"]),
  }),
  /** A car just built: it enrols and comes up. */
  z.strictObject({ kind: z.literal("adopt"), package: enrolmentPackageSchema }),
  /** Why these have not ended what they were given. */
  z.strictObject({ kind: z.literal("explain"), vins }),
  z.strictObject({ kind: z.literal("stop") }),
]);
export type Command = z.infer<typeof commandSchema>;

/** Numbered, so that each answer finds its question. */
export const callSchema = z.strictObject({ id: z.int(), command: commandSchema });
export type Call = z.infer<typeof callSchema>;

const counts = z.record(z.string(), z.number());

/** What happened since the last news, and how things stand. */
export const newsSchema = z.object({
  kind: z.literal("news"),
  connected: z.int(),
  /** Since the host began. */
  doubleApplies: z.int(),
  forgedAccepted: z.int(),
  reports: z.int(),
  refused: counts,
  crashes: counts,
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
  drops: counts,
  /** The same where the simulation wanted it. */
  weather: counts,
  /** Connections that were not made, by reason. */
  notConnected: counts,
  attacks: counts,
  /** What linking codes cars show. */
  codes: z.array(z.object({ vin: z.string(), code: z.string() })),
});
export type News = z.infer<typeof newsSchema>;

export const replySchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("prepared"),
    cars: z.array(z.object({ vin: z.string(), carKind: z.string() })),
  }),
  newsSchema,
  z.object({ kind: z.literal("adopted"), vin: z.string(), carKind: z.string() }),
  /** Cars by what they wait for. */
  z.object({ kind: z.literal("explained"), reasons: counts }),
  z.object({ kind: z.literal("done"), id: z.int() }),
  z.object({ kind: z.literal("failed"), id: z.int(), why: z.string() }),
]);
export type Reply = z.infer<typeof replySchema>;
