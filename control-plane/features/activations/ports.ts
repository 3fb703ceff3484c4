import type { Transaction } from "../../store/database.ts";

/** What activations ask of the manifest engine. */
export type ManifestEngine = {
  /** Takes the car's lock, which comes before an activation's everywhere. */
  lock(tx: Transaction, vehicleId: string): Promise<void>;
  /** Takes these cars' locks, in the order that everybody takes them in. */
  lockMany(tx: Transaction, vehicleIds: readonly string[]): Promise<void>;
  /** Those whose next version could carry a change now; takes the cars' locks. */
  listFree(tx: Transaction, vehicleIds: readonly string[]): Promise<string[]>;
  /** Puts one service into the next version of each car, as its one unproved change. All of them are free. */
  carryMany(
    tx: Transaction,
    changes: readonly {
      vehicleId: string;
      activationId: string;
      attempt: number;
      entitlementId: string;
      applyBefore: Date;
    }[],
  ): Promise<void>;
  release(tx: Transaction, vehicleId: string, activationId: string): Promise<void>;
};

type WantedService = {
  vehicleId: string;
  source: "service";
  code: string;
  configuration: { readonly [key: string]: unknown };
  durationSeconds: number;
};

/** What activations ask of the entitlements. */
export type ServiceEntitlements = {
  want(tx: Transaction, wanted: WantedService): Promise<string>;
  /** Their ids, in the same order. */
  wantMany(tx: Transaction, wanted: readonly WantedService[]): Promise<string[]>;
  /** The cars have proved them: each term begins where its car says it did. */
  proveMany(tx: Transaction, proved: readonly { entitlementId: string; appliedAt: Date }[]): Promise<void>;
  withdraw(tx: Transaction, entitlementId: string, reason: string): Promise<void>;
  abandon(tx: Transaction, entitlementId: string, reason: string): Promise<void>;
};
