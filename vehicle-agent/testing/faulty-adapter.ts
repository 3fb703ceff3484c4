import type { AppliedConfiguration, CarAdapter } from "../adapters/adapter.ts";
import type { CarConditions } from "../change/conditions.ts";

/** The faults of this car; they may be changed while it runs. */
export type CarFaults = {
  /** Rejects before anything is touched: a permanent failure. */
  rejects?: string | undefined;
  /** Fails to take a configuration of this version. */
  failsToApply?: number | undefined;
  /** Takes everything and then does not work with it. */
  unhealthy?: string | undefined;
};

export type FaultyAdapter = CarAdapter & {
  faults: CarFaults;
  /** The car drives, is parked, is charged, is locked: its watchers are notified. */
  turn(conditions: Partial<CarConditions>): void;
  /** Agents that watch the car now. */
  readonly watchers: number;
  /** Every configuration given to the car, in order. */
  readonly applied: readonly AppliedConfiguration[];
};

/** A car whose failures are decided by a test or a demonstration. */
export function createFaultyAdapter(faults: CarFaults = {}): FaultyAdapter {
  const applied: AppliedConfiguration[] = [];
  const listeners = new Set<() => void>();
  let present: CarConditions = { moving: false, stateOfChargePercent: null, lockedBy: null };
  return {
    faults,
    applied,
    turn(conditions) {
      present = { ...present, ...conditions };
      for (const listener of listeners) listener();
    },
    get watchers() {
      return listeners.size;
    },
    conditions: async () => present,
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async check() {
      const detail = this.faults.rejects;
      return detail === undefined ? { kind: "ok" } : { kind: "rejected", detail };
    },
    async apply(configuration) {
      if (configuration.version === this.faults.failsToApply)
        throw new Error("the car did not take the configuration");
      applied.push(configuration);
    },
    async probe() {
      const reason = this.faults.unhealthy;
      return reason === undefined ? { healthy: true } : { healthy: false, reason };
    },
  };
}
