import type { FleetCar } from "../fleet/fleet-car.ts";
import type { News } from "./host-messages.ts";

// What a process of cars collects between two news, as countable labels.

/** What a car that has not ended its change waits for, as far as it knows itself. */
export function explainWaiting(car: FleetCar | undefined): string {
  if (car?.isConnected !== true) return "not connected";
  const { deferred, lifecycle } = car.state();
  if (deferred !== null) return deferred.reason;
  return lifecycle === "idle" ? "nothing to do: it waits for the platform" : "the change is under way";
}

/** Reasons as labels: with an address in it every car's would be different. */
export function plainReason(reason: string): string {
  return reason.replaceAll(/\d{1,3}(\.\d{1,3}){3}:\d+/g, "the broker").slice(0, 80);
}

export function merge(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const merged: Record<string, number> = {};
  for (const one of all)
    for (const [name, count] of Object.entries(one)) merged[name] = (merged[name] ?? 0) + count;
  return merged;
}

export type Collected = Pick<
  News,
  "kind" | "outcomes" | "connectMs" | "drops" | "weather" | "notConnected" | "attacks" | "codes"
>;

export function emptyNews(): Collected {
  return {
    kind: "news",
    outcomes: [],
    connectMs: [],
    drops: {},
    weather: {},
    notConnected: {},
    attacks: {},
    codes: [],
  };
}
