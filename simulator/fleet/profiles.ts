import type { CarAdapter } from "@caas/vehicle-agent/adapters/adapter.ts";
import type { ConfigurationSlots } from "@caas/vehicle-agent/change/slots.ts";
import type { AgentClock } from "@caas/vehicle-agent/clock/agent-clock.ts";
import {
  type Failpoint,
  type FailpointName,
  failAt,
  failpointNames,
  noFailpoint,
  PowerLoss,
} from "@caas/vehicle-agent/failpoints.ts";
import * as z from "zod";

const crashSchema = z.object({ at: z.enum(failpointNames), passage: z.int().min(1) });

/** What a car makes of every change, independent of its link. */
export const fateSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("healthy") }),
  /** Says no to every configuration before anything is touched: a permanent failure. */
  z.object({ kind: z.literal("rejects"), detail: z.string() }),
  /** Takes every configuration that holds an entry and does not work with it; may lose power over it once. */
  z.object({ kind: z.literal("unhealthy"), reason: z.string(), crash: crashSchema.optional() }),
  /** Loses power once, at the n-th passage of a failpoint, and comes back, unless it then stays out of reach. */
  z.object({ kind: z.literal("crashes"), ...crashSchema.shape, staysAway: z.boolean().optional() }),
  /** Its clock is set wrong at every start; it takes what it is given. */
  z.object({ kind: z.literal("wrongClock"), aheadMs: z.int() }),
]);
export type Fate = z.infer<typeof fateSchema>;

/** `modelled`: the caller provides the car's systems. */
export type CarProfile = Fate | ({ kind: "modelled" } & CarModel);

/** A car's own systems, provided by the caller; what is left out is as in a healthy car. */
export type CarModel = {
  adapter: CarAdapter;
  /** Whether power is lost at this passage of the place. */
  losesPowerAt?: (at: FailpointName) => boolean;
  /** Its own readings of business time. */
  clock?: AgentClock;
  /** Puts faults between the agent and its slots. */
  slots?: (slots: ConfigurationSlots) => ConfigurationSlots;
};

export const healthy: CarProfile = { kind: "healthy" };

/** What a car without faults passes whenever it takes a change. */
export const everydaySteps: readonly [FailpointName, ...FailpointName[]] = [
  "afterIntent",
  "afterStage",
  "afterSwitch",
  "afterHealthCheck",
  "afterOutcome",
  "beforeReport",
];

/** Cars that work share one adapter: it remembers nothing. */
const workingAdapter: CarAdapter = {
  apply: async () => undefined,
  probe: async () => ({ healthy: true }),
};

export function adapterOf(profile: CarProfile): CarAdapter {
  switch (profile.kind) {
    case "healthy":
    case "crashes":
    case "wrongClock":
      return workingAdapter;
    case "rejects":
      return { ...workingAdapter, check: async () => ({ kind: "rejected", detail: profile.detail }) };
    case "modelled":
      return profile.adapter;
    case "unhealthy": {
      let entries = 0;
      return {
        async apply(configuration) {
          entries = configuration.entries.length;
        },
        probe: async () => (entries === 0 ? { healthy: true } : { healthy: false, reason: profile.reason }),
      };
    }
  }
}

/** What the car reads as business time. */
export function clockOf(profile: CarProfile, clock: AgentClock): AgentClock {
  switch (profile.kind) {
    case "modelled":
      return profile.clock ?? clock;
    case "wrongClock":
      return { ...clock, now: () => new Date(clock.now().getTime() + profile.aheadMs) };
    default:
      return clock;
  }
}

/** For the whole life of a car and not of one agent: a car crashes only once. */
export function failpointOf(profile: CarProfile, onCrash: (at: FailpointName) => void): Failpoint {
  if (profile.kind === "modelled") {
    const { losesPowerAt } = profile;
    if (losesPowerAt === undefined) return noFailpoint;
    return (name) => {
      if (!losesPowerAt(name)) return;
      onCrash(name);
      throw new PowerLoss(name);
    };
  }
  const crash =
    profile.kind === "crashes" ? profile : profile.kind === "unhealthy" ? profile.crash : undefined;
  if (crash === undefined) return noFailpoint;
  const { at: name, passage } = crash;
  return failAt({ name, passage }, () => {
    onCrash(name);
    throw new PowerLoss(name);
  });
}
