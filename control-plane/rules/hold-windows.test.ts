import { describe, expect, it } from "vitest";
import { mayStillApply, planHoldWindows, planPresumedWindows } from "./hold-windows.ts";

const minuteMs = 60_000;
const captureBeforeMs = Date.UTC(2026, 10, 29, 12);
const windows = planHoldWindows(captureBeforeMs);

describe("the windows of a held payment", () => {
  it("the car stops an hour before the bank lets go, we ten minutes before", () => {
    expect(windows.applyBeforeMs).toBe(Date.UTC(2026, 10, 29, 11));
    expect(windows.giveUpAtMs).toBe(Date.UTC(2026, 10, 29, 11, 50));
  });

  it.each([
    [61 * minuteMs, true],
    [60 * minuteMs, false],
    [11 * minuteMs, false],
    [10 * minuteMs, false],
    [-1, false],
  ])("%i ms before the release: may apply %s", (beforeMs, apply) => {
    expect(mayStillApply(windows, captureBeforeMs - beforeMs)).toBe(apply);
  });
});

describe("the windows of a presumed payment", () => {
  it("the car has the whole time until the payment must be known; we wait for its last report before we give up", () => {
    expect(planPresumedWindows(captureBeforeMs)).toEqual({
      applyBeforeMs: captureBeforeMs,
      giveUpAtMs: captureBeforeMs + 10 * minuteMs,
    });
  });
});
