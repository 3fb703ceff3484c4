import { performance } from "node:perf_hooks";
import type { AgentParts } from "../agent-parts.ts";
import { paceMs } from "../clock/wake-ups.ts";

// Watches work on a change: emits its result, and schedules the next look at a change that waits.

export type Progress = {
  /** Runs `work` that began at `startedMs` of `performance.now`. @returns whether there is anything new to report */
  follow(work: () => Promise<unknown>, startedMs?: number): Promise<boolean>;
};

/** Real ms after which running work is reported (the "apply over 5 s" of the wire's rules). */
export const slowWorkMs = 5_000;
/** A condition that changes without a notice from the car is noticed after this time (business time). */
const rejudgeIntervalMs = 60_000;

export function createProgress(
  parts: Pick<
    AgentParts,
    "identity" | "journal" | "applier" | "events" | "metrics" | "logger" | "time" | "clock" | "wakeUps"
  > & { slowWorkMs: number; onSlow: () => void },
): Progress {
  const { journal, applier, events, metrics, logger, time, clock, wakeUps } = parts;
  const { vin } = parts.identity;

  function tellOutcome(startedMs: number): void {
    const { outcome } = journal.record;
    if (outcome === null) return;
    const { version, result } = outcome;
    const reason = outcome.result === "applied" ? "none" : outcome.reason;
    metrics?.changeProcessed(result, reason, performance.now() - startedMs);
    logger.info({ vin, version, result, reason }, "a version was processed");
    events.emit("outcome", outcome);
  }

  /** Schedules the next look at a waiting change: at its deadline at the latest. */
  function scheduleRejudge(): void {
    const { deferral } = applier;
    if (deferral === null) {
      wakeUps.clear("deferral");
      return;
    }
    const { applyBefore } = deferral;
    const untilLateMs =
      applyBefore === null
        ? Number.POSITIVE_INFINITY
        : Math.max(0, Date.parse(applyBefore) + 1 - time.now().getTime());
    wakeUps.set("deferral", Math.min(paceMs(rejudgeIntervalMs, clock), untilLateMs));
  }

  return {
    async follow(work, startedMs = performance.now()) {
      const before = { outcome: journal.record.outcome, deferral: applier.deferral };
      const slow = setTimeout(parts.onSlow, parts.slowWorkMs);
      slow.unref();
      try {
        await work();
      } finally {
        clearTimeout(slow);
      }
      scheduleRejudge();
      const isProcessed = journal.record.outcome !== before.outcome;
      if (isProcessed) tellOutcome(startedMs);
      const { deferral } = applier;
      const isDeferralNew =
        deferral?.version !== before.deferral?.version || deferral?.reason !== before.deferral?.reason;
      if (isDeferralNew && deferral !== null) {
        const { version, reason } = deferral;
        metrics?.changeDeferred(reason);
        logger.info({ vin, version, reason }, "a version waits for the car");
        events.emit("deferred", { version, reason });
      }
      return isProcessed || isDeferralNew;
    },
  };
}
