import { describe, expect, it } from "vitest";
import { mayStillApply, mustGiveUp, planHoldWindows, planPresumedWindows } from "./hold-windows.ts";

const minuteMs = 60_000;
const captureBeforeMs = Date.UTC(2026, 10, 29, 12);
const windows = planHoldWindows(captureBeforeMs);

describe("the windows of a held payment", () => {
  it("the car stops an hour before the bank lets go, we ten minutes before", () => {
    expect(windows.applyBeforeMs).toBe(Date.UTC(2026, 10, 29, 11));
    expect(windows.giveUpAtMs).toBe(Date.UTC(2026, 10, 29, 11, 50));
  });

  it.each([
    [61 * minuteMs, true, false],
    [60 * minuteMs, false, false],
    [11 * minuteMs, false, false],
    [10 * minuteMs, false, true],
    [-1, false, true],
  ])("%i ms before the release: may apply %s, must give up %s", (beforeMs, apply, giveUp) => {
    expect(mayStillApply(windows, captureBeforeMs - beforeMs)).toBe(apply);
    expect(mustGiveUp(windows, captureBeforeMs - beforeMs)).toBe(giveUp);
  });
});

describe("the windows of a presumed payment", () => {
  it("the car has the whole time until the payment must be known; its last report is waited for before we give up", () => {
    expect(planPresumedWindows(captureBeforeMs)).toEqual({
      applyBeforeMs: captureBeforeMs,
      giveUpAtMs: captureBeforeMs + 10 * minuteMs,
    });
  });
});
