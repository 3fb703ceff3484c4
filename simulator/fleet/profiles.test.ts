import { expect, test } from "vitest";
import { assignVin } from "../stand-ins/factory/assign-vin.ts";
import { dealProfiles } from "./profiles.ts";

const vins = Array.from({ length: 2_000 }, (_, index) => assignVin(index + 1));
const shares = { rejects: 0.1, unhealthy: 0.2, crashes: 0.3 };

test("a car's fate is pinned by seed and VIN, independent of the other cars", () => {
  const deal = dealProfiles(11, shares);
  const fates = vins.map(deal);
  expect(vins.toReversed().map(dealProfiles(11, shares)).toReversed()).toEqual(fates);
  expect(vins.map(dealProfiles(12, shares))).not.toEqual(fates);
});

test("the shares come out, and every everyday step is one to crash at", () => {
  const fates = vins.map(dealProfiles(11, shares));
  const share = (kind: string) => fates.filter((fate) => fate.kind === kind).length / vins.length;
  expect(share("rejects")).toBeCloseTo(0.1, 1);
  expect(share("unhealthy")).toBeCloseTo(0.2, 1);
  expect(share("crashes")).toBeCloseTo(0.3, 1);
  expect(share("healthy")).toBeCloseTo(0.4, 1);
  const places = fates.flatMap((fate) => (fate.kind === "crashes" ? [`${fate.at}:${fate.passage}`] : []));
  expect(new Set(places).size).toBe(12);
});

test("without shares all cars are healthy", () => {
  expect(new Set(vins.map(dealProfiles(1, {})).map(({ kind }) => kind))).toEqual(new Set(["healthy"]));
});
