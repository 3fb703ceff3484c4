import { hourMs } from "@caas/contract/durations.ts";
import type { Report } from "@caas/contract/report.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { JournalRecord } from "../change/journal.ts";

/** Messages refused since the last report, by reason. */
export type RefusalCounter = {
  count(reason: string): void;
  /** The counts for the next report; counting starts again. */
  take(): Report["refused"];
  /** A report did not reach the broker: its counts go into the next. */
  giveBack(untold: Report["refused"]): void;
};

export function createRefusalCounter(): RefusalCounter {
  let counts = new Map<string, number>();
  const add = (reason: string, count: number): void =>
    void counts.set(reason, (counts.get(reason) ?? 0) + count);
  return {
    count: (reason) => add(reason, 1),
    take() {
      // Almost always.
      if (counts.size === 0) return {};
      const taken = Object.fromEntries(counts);
      counts = new Map();
      return taken;
    },
    giveBack(untold) {
      for (const [reason, count] of Object.entries(untold)) add(reason, count);
    },
  };
}

/** The car's current state as a report; `record.seq` must have been raised and stored for it. */
export function buildReport(
  vin: Vin,
  record: JournalRecord,
  deferred: Report["deferred"],
  refused: Report["refused"],
  keySetVersion: number,
  sentAt: Date,
): Report {
  return {
    vin,
    seq: record.seq,
    active: record.active,
    outcome: record.outcome,
    deferred,
    refused,
    keySetVersion,
    sentAt: sentAt.toISOString(),
  };
}

/** How often a car reports when nothing happens (business time). */
export const reportIntervalMs = 6 * hourMs;

/** Between five and six hours, so that cars that connected together do not report together. */
export function nextReportInMs(random: () => number): number {
  return reportIntervalMs * (5 / 6 + random() / 6);
}
