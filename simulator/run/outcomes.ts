/** What a car made of a version: `applied`, or the reason of its failure. */
export type CarOutcome = { result: string; atMs: number };

/** The cars' outcomes, as they come from the hosts, given to whoever waits for them. */
export type Outcomes = {
  heard(vin: string, version: number, outcome: CarOutcome): void;
  /** Calls `take` once, now if the outcome has come already. A newer expectation of the same car replaces it. */
  expect(vin: string, version: number, take: (outcome: CarOutcome) => void): void;
  /** Calls `wake` at every outcome of this car, until told otherwise. */
  watch(vin: string, wake: () => void): () => void;
};

export function createOutcomes(): Outcomes {
  /** A car has one change under way, so its newest outcome is the only one somebody can have missed. */
  const newest = new Map<string, CarOutcome & { version: number }>();
  const expected = new Map<string, { version: number; take: (outcome: CarOutcome) => void }>();
  const watchers = new Map<string, Set<() => void>>();
  return {
    heard(vin, version, outcome) {
      newest.set(vin, { version, ...outcome });
      const waiting = expected.get(vin);
      if (waiting?.version === version) {
        expected.delete(vin);
        waiting.take(outcome);
      }
      for (const wake of [...(watchers.get(vin) ?? [])]) wake();
    },
    expect(vin, version, take) {
      const known = newest.get(vin);
      if (known?.version === version) take(known);
      else expected.set(vin, { version, take });
    },
    watch(vin, wake) {
      const all = watchers.get(vin) ?? new Set();
      watchers.set(vin, all.add(wake));
      return () => {
        all.delete(wake);
        if (all.size === 0) watchers.delete(vin);
      };
    },
  };
}
