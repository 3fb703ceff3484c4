import * as z from "zod";

/** COVESA VSS 6 signal names with their values; for information only, never for the maintenance gate. */
export const telemetrySchema = z.strictObject({
  at: z.iso.datetime(),
  signals: z.partialRecord(
    z.enum([
      "Vehicle.TraveledDistance",
      "Vehicle.Speed",
      "Vehicle.IsMoving",
      "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current",
      "Vehicle.LowVoltageBattery.CurrentVoltage",
    ]),
    z.union([z.number(), z.boolean(), z.string().max(120)]),
  ),
});

export type Telemetry = z.infer<typeof telemetrySchema>;
