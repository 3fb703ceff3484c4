import type { ManifestEntry } from "@caas/contract/manifest.ts";
import type { Transaction } from "../../store/database.ts";

/** The change that a version is to prove, as the entitlements list it. */
export type UnprovedChange = { kind: "plan" } | { kind: "service"; entitlementId: string; applyBefore: Date };

/** What the engine asks of the entitlements: the truth that a manifest projects. */
/** What a roll-out gives to every car it reaches. */
export type RollOutStep = { code: string; configuration: { readonly [key: string]: unknown } };

export type EntitlementSource = {
  listEntries(tx: Transaction, vehicleId: string, unproved: UnprovedChange | null): Promise<ManifestEntry[]>;
  /** What each car must hold with its one unproved service, by vehicle. */
  listEntriesWith(
    tx: Transaction,
    changes: readonly { vehicleId: string; entitlementId: string; applyBefore: Date }[],
  ): Promise<Map<string, ManifestEntry[]>>;
  provePlan(tx: Transaction, vehicleId: string, appliedAt: Date): Promise<void>;
  finishEnding(tx: Transaction, vehicleId: string): Promise<number>;
  /** One more thing for the life of each car, replacing what it holds under the same code. */
  wantForMany(tx: Transaction, vehicleIds: readonly string[], wanted: RollOutStep): Promise<void>;
  /** The same for many cars at once: everything wanted or proved, by vehicle. */
  listEntriesOfMany(tx: Transaction, vehicleIds: readonly string[]): Promise<Map<string, ManifestEntry[]>>;
  provePlans(tx: Transaction, vehicleIds: readonly string[]): Promise<void>;
  finishEndings(tx: Transaction, vehicleIds: readonly string[]): Promise<void>;
  /** Both at once: `holding` hold exactly what they should, and those of `proved` among them have just proved it. */
  settleMany(tx: Transaction, cars: { holding: readonly string[]; proved: readonly string[] }): Promise<void>;
};
