import type { Report } from "@caas/contract/report.ts";
import type { Telemetry } from "@caas/contract/telemetry.ts";

// When the car is in no state to be changed, a staged change waits; waiting is no attempt and no failure.

export type CarConditions = {
  moving: boolean;
  /** Of the traction battery; `null` in a car that does not say. */
  stateOfChargePercent: number | null;
  /** The in-car app that asked for nothing to change now; `null` without one. */
  lockedBy: string | null;
};

export type DeferralReason = NonNullable<Report["deferred"]>["reason"];

/** A switch and its way back must fit into what is left, with enough to drive home afterwards. */
export const leastChargePercent = 20;

/** Why a change must wait, the reason that is about safety first; `null` when nothing speaks against it. */
export function deferralOf(conditions: CarConditions): DeferralReason | null {
  const { moving, stateOfChargePercent, lockedBy } = conditions;
  if (moving) return "driving";
  // A car that does not know its charge would otherwise never be changed at all.
  if (stateOfChargePercent !== null && stateOfChargePercent < leastChargePercent) return "lowBattery";
  return lockedBy === null ? null : "locked";
}

/** What COVESA readings say about the car's state; a lock is no reading and comes from its keeper. */
export function conditionsFrom(signals: Telemetry["signals"], lockedBy: string | null = null): CarConditions {
  const speed = signals["Vehicle.Speed"];
  const charge = signals["Vehicle.Powertrain.TractionBattery.StateOfCharge.Current"];
  return {
    // VSS gives the speed a sign: backwards is moving too.
    moving: signals["Vehicle.IsMoving"] === true || (typeof speed === "number" && speed !== 0),
    stateOfChargePercent: typeof charge === "number" ? charge : null,
    lockedBy,
  };
}
