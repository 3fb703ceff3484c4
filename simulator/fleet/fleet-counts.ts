import type { Outcome } from "@caas/contract/report.ts";
import { forgedOffset } from "../link/forger.ts";

/** What a fleet has done since it was made. */
export type FleetCounts = {
  cars: number;
  /** Now. */
  connected: number;
  /** Versions applied. */
  applied: number;
  /** Versions failed, by reason. */
  failed: Record<string, number>;
  /** Reports the broker took. */
  reports: number;
  /** Messages the cars refused, by reason. */
  refused: Record<string, number>;
  /** Simulated power losses, by failpoint. */
  crashes: Record<string, number>;
  /** Versions committed a second time; must stay 0. */
  doubleApplies: number;
  /** Processed versions that only a forger uses; must stay 0. */
  forgedAccepted: number;
};

export function createFleetCounts(cars: number): FleetCounts {
  return {
    cars,
    connected: 0,
    applied: 0,
    failed: {},
    reports: 0,
    refused: {},
    crashes: {},
    doubleApplies: 0,
    forgedAccepted: 0,
  };
}

export function countOne(by: Record<string, number>, name: string): void {
  by[name] = (by[name] ?? 0) + 1;
}

export function countOutcome(counts: FleetCounts, outcome: Outcome): void {
  if (outcome.result === "applied") counts.applied += 1;
  else countOne(counts.failed, outcome.reason);
  if (outcome.version > forgedOffset) counts.forgedAccepted += 1;
}
