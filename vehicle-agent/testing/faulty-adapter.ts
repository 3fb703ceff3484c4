import type { AppliedConfiguration, CarAdapter } from "../adapter.ts";

/** What goes wrong in this car, always; may be changed while it runs. */
export type CarFaults = {
  /** Says no before anything is touched: a permanent failure. */
  rejects?: string | undefined;
  /** Fails to take a configuration of this version. */
  failsToApply?: number | undefined;
  /** Takes everything and then does not work with it. */
  unhealthy?: string | undefined;
};

export type FaultyAdapter = CarAdapter & {
  faults: CarFaults;
  /** Every configuration given to the car, in order. */
  readonly applied: readonly AppliedConfiguration[];
};

/** A car whose failures the test or the demonstration decides. */
export function createFaultyAdapter(faults: CarFaults = {}): FaultyAdapter {
  const applied: AppliedConfiguration[] = [];
  return {
    faults,
    applied,
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
