import type { Transaction } from "../../store/database.ts";

/** What activations ask of the manifest engine. */
export type ManifestEngine = {
  /** Takes the car's lock, which comes before an activation's everywhere. */
  lock(tx: Transaction, vehicleId: string): Promise<void>;
  mayCarry(tx: Transaction, vehicleId: string): Promise<"carried" | "waiting">;
  carry(
    tx: Transaction,
    change: {
      vehicleId: string;
      activationId: string;
      attempt: number;
      entitlementId: string;
      applyBefore: Date;
    },
  ): Promise<{ kind: "carried"; version: number } | { kind: "waiting"; reason: string }>;
  release(tx: Transaction, vehicleId: string, activationId: string): Promise<void>;
};

/** What activations ask of the entitlements. */
export type ServiceEntitlements = {
  want(
    tx: Transaction,
    wanted: {
      vehicleId: string;
      source: "service";
      code: string;
      configuration: { readonly [key: string]: unknown };
      durationSeconds: number;
    },
  ): Promise<string>;
  prove(tx: Transaction, entitlementId: string, appliedAt: Date): Promise<void>;
  withdraw(tx: Transaction, entitlementId: string, reason: string): Promise<void>;
  abandon(tx: Transaction, entitlementId: string, reason: string): Promise<void>;
};
