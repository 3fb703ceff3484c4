import { parseVin, type Vin } from "@caas/contract/vin.ts";

// The parts of a VIN after ISO 3779. The world manufacturer identifier is made up for this simulator.
const manufacturer = "VSC";
const model = "CAAS1";
/** Where North American cars have a check digit, many European makers write a letter that is none. */
const filler = "Z";
/** T stands for 2026 in the year code of 49 CFR 565.15; fixed, so that the counter alone decides the VIN. */
const modelYear = "T";
const plant = "A";
const lastSerial = 999_999;

/** The VIN of the `serial`-th car (1 …), European as the cars are. @throws past 999,999 cars. */
export function assignVin(serial: number): Vin {
  if (!Number.isInteger(serial) || serial < 1 || serial > lastSerial)
    throw new Error(`no VIN for serial number ${serial}: the series runs from 1 to ${lastSerial}`);
  return parseVin(`${manufacturer}${model}${filler}${modelYear}${plant}${String(serial).padStart(6, "0")}`);
}
