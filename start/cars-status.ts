import { join } from "node:path";
import { vinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import { packageFileName } from "./car-folders.ts";

/** What the process of the demonstration's cars answers to a look at it. */
export const carsStatusSchema = z.object({
  /** Those that have a folder. */
  cars: z.int(),
  connected: z.int(),
  /** Those that stay off, and why; `needsEnrolment` where only another enrolment package helps. */
  off: z.array(z.object({ vin: vinSchema, why: z.string(), needsEnrolment: z.boolean() })),
});
export type CarsStatus = z.infer<typeof carsStatusSchema>;

/** For the line that says that everything is up. */
export function countConnected({ cars, connected }: CarsStatus): string {
  return connected === cars ? `${cars} demo cars connected` : `${connected} of ${cars} demo cars connected`;
}

/** A line for each car that stays off, and one that says what to do. */
export function explainOff({ off }: CarsStatus, carsFolder: string, dataDir: string): string[] {
  if (off.length === 0) return [];
  const lines = off.map(({ vin, why }) => `  ${vin} stays off: ${why}`);
  if (off.some(({ needsEnrolment }) => needsEnrolment))
    lines.push(
      "  A car that has lost what proves it needs another enrolment package: the administrator issues it with POST " +
        `/api/vehicles/{vehicleId}/enrolment-packages; its "package" part belongs in ${join(carsFolder, "VIN", packageFileName)}. Then start again.`,
    );
  if (off.some(({ needsEnrolment }) => !needsEnrolment))
    lines.push(`  More about the others is in ${join(dataDir, "logs", "demo-cars.log")}.`);
  return lines;
}
