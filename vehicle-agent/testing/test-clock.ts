import type { AgentClock } from "../clock/agent-clock.ts";

export type TestClock = AgentClock & {
  /** Time goes by: both the wall clock and what has elapsed. */
  advance(ms: number): void;
  /** The wall clock is set; no time has elapsed. */
  setWallClock(at: Date): void;
};

export function createTestClock(start = new Date("2026-03-01T08:00:00.000Z")): TestClock {
  let wallMs = start.getTime();
  let elapsedMs = 1_000;
  return {
    now: () => new Date(wallMs),
    elapsedMs: () => elapsedMs,
    realDelayMs: (ms) => ms,
    advance(ms) {
      wallMs += ms;
      elapsedMs += ms;
    },
    setWallClock(at) {
      wallMs = at.getTime();
    },
  };
}
