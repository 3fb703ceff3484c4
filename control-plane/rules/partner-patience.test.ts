import { describe, expect, test } from "vitest";
import { askedPartners, isAlarming, nextLookUp, patience } from "./partner-patience.ts";

const hourMs = 3_600_000;
const heardAt = new Date("2026-03-02T09:00:00Z");
const at = (hours: number) => new Date(heardAt.getTime() + hours * hourMs);

describe("how long a partner is waited for", () => {
  // biome-ignore format: one row a line
  const lookUps: [title: string, partner: "factory" | "authority" | "carrier", expectedHours: number | null, hours: number][] = [
    ["a factory that announces nothing is asked after a day", "factory",   null, 24],
    ["a factory is asked a day after the day it announced",   "factory",   72,   96],
    ["a day that has passed delays nothing",                  "factory",   -48,  24],
    ["an authority is asked after a day",                     "authority", null, 24],
    ["a carrier is asked in the middle of its day",           "carrier",   63,   75],
    ["a carrier on the road is asked after half a day",       "carrier",   -9,   12],
  ];
  test.each(lookUps)("%s [N3]", (_title, partner, expectedHours, hours) => {
    const expectedAt = expectedHours === null ? null : at(expectedHours);
    expect(nextLookUp(partner, heardAt, expectedAt)).toEqual(at(hours));
  });

  test.each(askedPartners)(
    "the %s's silence worries nobody before its time, and a person from then on [N3]",
    (partner) => {
      const silentHours = patience[partner].alarmAfterMs / hourMs;
      for (const [expectedHours, from] of [
        [null, 0],
        [-100, 0],
        [50, 50],
      ] as const) {
        const silence = { heardAt, expectedAt: expectedHours === null ? null : at(expectedHours) };
        expect(isAlarming(partner, silence, at(from + silentHours - 1))).toBe(false);
        expect(isAlarming(partner, silence, at(from + silentHours))).toBe(true);
      }
    },
  );

  test("a partner is asked before a person is", () => {
    for (const { lookUpAfterMs, alarmAfterMs } of Object.values(patience))
      expect(lookUpAfterMs).toBeLessThanOrEqual(alarmAfterMs);
  });
});
