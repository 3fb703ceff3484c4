import { performance } from "node:perf_hooks";
import {
  businessClock,
  type Clock,
  parseBusinessTime,
  realClock,
  realDelayMs,
} from "@caas/contract/business-clock.ts";

/**
 * The car's two readings of business time: `now` is the wall clock, which can be set; `elapsedMs` only
 * runs forward, from an arbitrary zero. `realDelayMs` says how long to really wait for a business delay.
 */
export type AgentClock = Clock & { elapsedMs(): number; realDelayMs(businessMs: number): number };

/**
 * The clock that `CAAS_BUSINESS_TIME` (`REAL/BUSINESS/SCALE`) names; without it business time is real time.
 * @throws Error naming the expected form.
 */
export function agentClock(businessTime?: string): AgentClock {
  if (businessTime === undefined || businessTime === "")
    return { now: realClock.now, elapsedMs: () => performance.now(), realDelayMs: (ms) => ms };
  const anchor = parseBusinessTime(businessTime);
  if (anchor === undefined)
    throw new Error(
      "CAAS_BUSINESS_TIME must read REAL/BUSINESS/SCALE, as 2026-01-01T00:00:00Z/2026-01-01T00:00:00Z/1",
    );
  return {
    now: businessClock(anchor).now,
    elapsedMs: () => performance.now() * anchor.scale,
    realDelayMs: (ms) => realDelayMs(anchor, ms),
  };
}
