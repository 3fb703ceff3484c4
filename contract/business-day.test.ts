import { describe, expect, test } from "vitest";
import { businessDay, isTimeZone } from "./business-day.ts";

describe("the calendar day of an instant", () => {
  test.each([
    ["2026-07-01T21:59:59.999Z", "2026-07-01"],
    ["2026-07-01T22:30:00.000Z", "2026-07-02"],
    ["2026-12-31T22:59:59.999Z", "2026-12-31"],
    ["2026-12-31T23:00:00.000Z", "2027-01-01"],
    // The nights on which the clocks change.
    ["2026-03-28T23:00:00.000Z", "2026-03-29"],
    ["2026-10-24T22:00:00.000Z", "2026-10-25"],
    ["2026-10-25T22:59:59.999Z", "2026-10-25"],
  ])("%s is %s in Madrid, summer and winter [F21]", (at, day) => {
    expect(businessDay(new Date(at))).toBe(day);
  });

  test("another place has another day [F21]", () => {
    const at = new Date("2026-07-01T22:30:00.000Z");
    expect(businessDay(at, "Atlantic/Canary")).toBe("2026-07-01");
    expect(businessDay(at, "UTC")).toBe("2026-07-01");
  });

  test("what is no time zone is known to be none", () => {
    expect(["Europe/Madrid", "Atlantic/Canary", "Madrid", "CETT", ""].map(isTimeZone)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});
