import { checkDigit, explainVin } from "@caas/contract/vin.ts";
import { expect, test } from "vitest";
import { assignVin } from "./assign-vin.ts";

test("every car gets its own valid VIN, and the same serial number the same VIN [F1]", () => {
  const vins = Array.from({ length: 2000 }, (_, index) => assignVin(index + 1));
  expect(new Set(vins).size).toBe(2000);
  expect(vins.map(explainVin).filter((problem) => problem !== null)).toEqual([]);
  expect(assignVin(1)).toBe(vins[0]);
  // European: no North American check digit [F1].
  expect(vins.filter((vin) => vin.charAt(8) === checkDigit(vin))).toEqual([]);
});

test.each([0, -1, 1.5, 1_000_000])("there is no VIN for serial number %d", (serial) => {
  expect(() => assignVin(serial)).toThrow(/serial number/);
});
