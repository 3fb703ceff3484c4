import type { Report } from "@caas/contract/report.ts";
import type { Telemetry } from "@caas/contract/telemetry.ts";

// While the car cannot be changed, a staged change waits; waiting is no attempt and no failure.

export type CarConditions = {
  moving: boolean;
  /** Of the traction battery; `null` in a car that does not report it. */
  stateOfChargePercent: number | null;
  /** The in-car app that asked for nothing to change now; `null` without one. */
  lockedBy: string | null;
};

export type DeferralReason = NonNullable<Report["deferred"]>["reason"];

/** The charge left must suffice for a switch, a roll-back and the drive home. */
export const leastChargePercent = 20;

/** Why a change must wait, safety reasons first; `null` when it need not. */
export function deferralOf(conditions: CarConditions): DeferralReason | null {
  const { moving, stateOfChargePercent, lockedBy } = conditions;
  if (moving) return "driving";
  // Otherwise a car that does not know its charge would never be changed.
  if (stateOfChargePercent !== null && stateOfChargePercent < leastChargePercent) return "lowBattery";
  return lockedBy === null ? null : "locked";
}

/** The car's conditions from COVESA readings; the lock, which is no reading, is an argument. */
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
