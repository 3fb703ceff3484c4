import { expect, test } from "vitest";
import { type CarConditions, conditionsFrom, deferralOf } from "./conditions.ts";

const parked: CarConditions = { moving: false, stateOfChargePercent: 80, lockedBy: null };

test.each<{ car: string; changes: Partial<CarConditions>; reason: ReturnType<typeof deferralOf> }>([
  { car: "parked and charged", changes: {}, reason: null },
  { car: "moving", changes: { moving: true }, reason: "driving" },
  { car: "just under the least charge", changes: { stateOfChargePercent: 19.9 }, reason: "lowBattery" },
  { car: "at the least charge", changes: { stateOfChargePercent: 20 }, reason: null },
  { car: "empty", changes: { stateOfChargePercent: 0 }, reason: "lowBattery" },
  { car: "of unknown charge", changes: { stateOfChargePercent: null }, reason: null },
  { car: "held by an app", changes: { lockedBy: "navigation" }, reason: "locked" },
  {
    car: "moving, empty and held",
    changes: { moving: true, stateOfChargePercent: 1, lockedBy: "navigation" },
    reason: "driving",
  },
  {
    car: "empty and held",
    changes: { stateOfChargePercent: 1, lockedBy: "navigation" },
    reason: "lowBattery",
  },
])("a car that is $car: $reason", ({ changes, reason }) => {
  expect(deferralOf({ ...parked, ...changes })).toBe(reason);
});

const charge = "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current";
test.each([
  { signals: {}, conditions: { moving: false, stateOfChargePercent: null } },
  { signals: { "Vehicle.IsMoving": true }, conditions: { moving: true } },
  { signals: { "Vehicle.IsMoving": false, "Vehicle.Speed": 0 }, conditions: { moving: false } },
  { signals: { "Vehicle.IsMoving": false, "Vehicle.Speed": -3 }, conditions: { moving: true } },
  { signals: { [charge]: 12.5 }, conditions: { stateOfChargePercent: 12.5 } },
  { signals: { [charge]: "full" }, conditions: { stateOfChargePercent: null } },
  { signals: { "Vehicle.IsMoving": "yes" }, conditions: { moving: false } },
])("readings $signals mean $conditions", ({ signals, conditions }) => {
  expect(conditionsFrom(signals, "navigation")).toMatchObject({ ...conditions, lockedBy: "navigation" });
});
