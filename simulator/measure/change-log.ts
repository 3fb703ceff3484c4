import { createLatencies, type Latencies } from "./latencies.ts";

// What was asked of the fleet and what became of it: one entry for each change that a car was meant to get.

/** `bulk`: one change for many cars; `purchase`: a service that was paid for. */
export type ChangeKind = "bulk" | "purchase";

export type Change = {
  readonly wave: string;
  readonly kind: ChangeKind;
  readonly vin: string;
  /** When it was meant to begin, real ms since the epoch: waiting behind others is part of its latency. */
  readonly intendedMs: number;
  attempts: number;
  end: { result: "applied"; atMs: number } | { result: "failed"; atMs: number; reason: string } | null;
};

export type WaveCount = {
  wave: string;
  kind: ChangeKind;
  sent: number;
  applied: number;
  failed: number;
  pending: number;
};

export type ChangeLog = {
  begin(change: Pick<Change, "wave" | "kind" | "vin" | "intendedMs">): Change;
  /** An attempt at it ended; the reason where it failed. */
  attemptEnded(change: Change, outcome: { result: "applied" } | { result: "failed"; reason: string }): void;
  /** Its final end. A change ends once. */
  end(change: Change, end: NonNullable<Change["end"]>): void;
  readonly totals: Readonly<{
    sent: number;
    applied: number;
    failed: number;
    firstAttempts: number;
    firstAttemptsApplied: number;
  }>;
  /** Failed attempts by reason. */
  readonly failures: Readonly<Record<string, number>>;
  readonly latencies: Latencies;
  readonly waves: ReadonlyMap<string, { count: WaveCount; latencies: Latencies }>;
  /** By kind of car. */
  readonly byCarKind: ReadonlyMap<string, { applied: number; failed: number; pending: number }>;
  /** Cars whose changes have no end yet. */
  listOpen(): string[];
  /** Resolves when no change is open, or when told. */
  untilSettled(signal: AbortSignal): Promise<void>;
};

export type ChangeListener = {
  sent(change: Change): void;
  ended(change: Change, latencyMs: number): void;
  attempted(result: string): void;
};

/** @param kindOfCar of any VIN a change is for */
export function createChangeLog(kindOfCar: (vin: string) => string, listener: ChangeListener): ChangeLog {
  const totals = { sent: 0, applied: 0, failed: 0, firstAttempts: 0, firstAttemptsApplied: 0 };
  const failures: Record<string, number> = {};
  const latencies = createLatencies();
  const waves = new Map<string, { count: WaveCount; latencies: Latencies }>();
  const byCarKind = new Map<string, { applied: number; failed: number; pending: number }>();
  const settled = new Set<() => void>();
  const unended = new Set<Change>();

  function waveOf({ wave, kind }: Pick<Change, "wave" | "kind">) {
    const known = waves.get(wave);
    if (known !== undefined) return known;
    const count: WaveCount = { wave, kind, sent: 0, applied: 0, failed: 0, pending: 0 };
    const made = { count, latencies: createLatencies() };
    waves.set(wave, made);
    return made;
  }

  function kindCounts(vin: string) {
    const kind = kindOfCar(vin);
    const known = byCarKind.get(kind) ?? { applied: 0, failed: 0, pending: 0 };
    byCarKind.set(kind, known);
    return known;
  }

  return {
    begin(given) {
      const change: Change = { ...given, attempts: 0, end: null };
      const { count } = waveOf(change);
      totals.sent += 1;
      count.sent += 1;
      count.pending += 1;
      kindCounts(change.vin).pending += 1;
      unended.add(change);
      listener.sent(change);
      return change;
    },
    attemptEnded(change, outcome) {
      change.attempts += 1;
      if (change.attempts === 1) {
        totals.firstAttempts += 1;
        if (outcome.result === "applied") totals.firstAttemptsApplied += 1;
      }
      const words = outcome.result === "applied" ? "applied" : outcome.reason;
      if (outcome.result === "failed") failures[words] = (failures[words] ?? 0) + 1;
      listener.attempted(words);
    },
    end(change, end) {
      if (change.end !== null) throw new Error(`a change of ${change.vin} ended twice`);
      change.end = end;
      unended.delete(change);
      const wave = waveOf(change);
      const ofKind = kindCounts(change.vin);
      totals[end.result] += 1;
      wave.count[end.result] += 1;
      wave.count.pending -= 1;
      ofKind[end.result] += 1;
      ofKind.pending -= 1;
      const latencyMs = Math.max(0, end.atMs - change.intendedMs);
      if (end.result === "applied") {
        latencies.record(latencyMs);
        wave.latencies.record(latencyMs);
      }
      listener.ended(change, latencyMs);
      if (unended.size === 0) for (const wake of [...settled]) wake();
    },
    totals,
    failures,
    latencies,
    waves,
    byCarKind,
    listOpen: () => [...unended].map(({ vin }) => vin),
    untilSettled(signal) {
      return new Promise((resolve) => {
        const wake = (): void => {
          settled.delete(wake);
          resolve();
        };
        if (unended.size === 0 || signal.aborted) return resolve();
        settled.add(wake);
        signal.addEventListener("abort", wake, { once: true });
      });
    },
  };
}
