import type { Transaction } from "../store/database.ts";
import type { LinkRow, LinkRows } from "../store/lock-links.ts";

// What cars must hold, as the capabilities speak of it to each other.

export type Wanted = {
  vehicleId: string;
  source: "plan" | "service";
  code: string;
  configuration: { readonly [key: string]: unknown };
  /** `null`: for the car's life. */
  durationSeconds: number | null;
};

/** The one change that a version is to prove: the plan's or a roll-out's, or one attempt of a service. */
export type UnprovedChange =
  | { kind: "plan" }
  | { kind: "service"; activationId: string; attempt: number; entitlementId: string; applyBefore: Date };

/** A car under its lock, and what its next version is to prove; `null`: it only repeats or removes. */
export type CarChange = { link: LinkRow; unproved: UnprovedChange | null };

export type Abandoned = {
  vehicleId: string;
  activationId: string;
  /** `null`: nothing was wanted yet. */
  entitlementId: string | null;
  reason: string;
};

export type Withdrawn = { entitlementId: string; reason: string };

/** What is asked of it for services. `links` are the cars' rows under the caller's lock. */
export type ServicesInCars = {
  /** What cars must hold from now on; the ids of these entitlements, in the same order. */
  want(tx: Transaction, wanted: readonly Wanted[]): Promise<readonly string[]>;
  /** Whether the car's next version could carry a service now. */
  isFree(link: LinkRow): boolean;
  /** Writes each car's next version with its one unproved change. All cars are free. */
  carry(tx: Transaction, changes: readonly CarChange[]): Promise<void>;
  /** Never delivered: it ends, and leaves the car's next version if it is under way. The rows as they are now. */
  abandon(tx: Transaction, links: LinkRows, abandoned: readonly Abandoned[]): Promise<LinkRows>;
  /** Taken back while they run; those that were running. */
  withdraw(tx: Transaction, withdrawn: readonly Withdrawn[]): Promise<ReadonlySet<string>>;
};
