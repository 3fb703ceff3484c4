import { describe, expect, it } from "vitest";
import { mayStillApply, mustGiveUp, planHoldWindows } from "./hold-windows.ts";

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
