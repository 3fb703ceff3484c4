/** What a car made of a version: `applied`, or the reason of its failure. */
export type CarOutcome = { result: string; atMs: number };

/** Gives the cars' outcomes, as they come from the hosts, to those waiting for them. */
export type Outcomes = {
  heard(vin: string, version: number, outcome: CarOutcome): void;
  /** Calls `take` once, now if the outcome has come already. */
  expect(vin: string, version: number, take: (outcome: CarOutcome) => void): void;
  /** Calls `wake` at every outcome of this car, until told otherwise. */
  watch(vin: string, wake: () => void): () => void;
};

export function createOutcomes(): Outcomes {
  /** A car has one change under way, so its newest outcome is the only one that can come before it is expected. */
  const newest = new Map<string, CarOutcome & { version: number }>();
  const expected = new Map<string, (outcome: CarOutcome) => void>();
  const watchers = new Map<string, Set<() => void>>();
  const keyOf = (vin: string, version: number) => `${vin} ${version}`;
  return {
    heard(vin, version, outcome) {
      newest.set(vin, { version, ...outcome });
      const key = keyOf(vin, version);
      const take = expected.get(key);
      expected.delete(key);
      take?.(outcome);
      for (const wake of [...(watchers.get(vin) ?? [])]) wake();
    },
    expect(vin, version, take) {
      const known = newest.get(vin);
      if (known?.version === version) take(known);
      else expected.set(keyOf(vin, version), take);
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
