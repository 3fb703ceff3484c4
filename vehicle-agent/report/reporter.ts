import { type Report, signReport } from "@caas/contract/report.ts";
import type { AgentParts } from "../agent-parts.ts";
import { writeJournal } from "../change/change-steps.ts";
import type { Failpoint } from "../failpoints.ts";
import { buildReport, createRefusalCounter, nextReportInMs } from "./report.ts";

export type Reporter = {
  /**
   * Reports the car's current configuration. Unconnected, nothing is sent and no `seq` used: the first message on a
   * connection is a fresh report. `onTaken` is called when the broker has it.
   */
  send(onTaken?: () => void): Promise<void>;
  /** Counts a refused message and reports it: at once, but not more often than the interval allows. */
  refuse(reason: string): void;
  /** Sends the report that `refuse` scheduled. */
  tellRefusals(): Promise<void>;
};

/** Forged messages make a car report no more often than this (real time). */
const refusalReportIntervalMs = 60_000;

export function createReporter(parts: Omit<AgentParts, "screen"> & { failpoint: Failpoint }): Reporter {
  const { identity, clock, metrics, logger, events, wakeUps, keys, time, connection } = parts;
  const { vin, proofKey } = identity;
  const refusals = createRefusalCounter();
  let refusalsToldAtMs = Number.NEGATIVE_INFINITY;

  function deferredNow(): Report["deferred"] {
    const { deferral } = parts.applier;
    return deferral === null ? null : { version: deferral.version, reason: deferral.reason };
  }

  async function send(onTaken?: () => void): Promise<void> {
    parts.failpoint("beforeReport");
    wakeUps.set("report", nextReportInMs(parts.random));
    if (!connection.isUp) return;
    const record = await writeJournal(parts, ({ seq }) => ({ seq: seq + 1 }));
    const refused = refusals.take();
    const report = buildReport(vin, record, deferredNow(), refused, keys.version, time.now());
    // Not awaited: the car continues while the broker takes its time.
    connection.publish("report", signReport(report, proofKey)).then(
      () => {
        const signedMs = time.lastSignedMs();
        metrics?.reportSent(signedMs === 0 ? null : Math.max(0, time.now().getTime() - signedMs));
        events.emit("reported", report.seq);
        onTaken?.();
      },
      (error: unknown) => {
        refusals.giveBack(refused);
        logger.debug({ vin, err: error }, "a report was lost with its link; the next connection repeats it");
      },
    );
  }

  return {
    send,
    refuse(reason) {
      refusals.count(reason);
      metrics?.messageRefused(reason);
      logger.warn({ vin, reason }, "a message was refused");
      events.emit("refused", reason);
      if (wakeUps.has("refusals")) return;
      const intervalMs = refusalReportIntervalMs / clock.realDelayMs(1);
      wakeUps.set("refusals", Math.max(0, refusalsToldAtMs + intervalMs - clock.elapsedMs()));
    },
    tellRefusals() {
      refusalsToldAtMs = clock.elapsedMs();
      return send();
    },
  };
}
