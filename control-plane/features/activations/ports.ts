import type { Transaction } from "../../store/database.ts";
import type { LinkRow, LinkRows } from "../../store/lock-links.ts";

/** One attempt of a service, as the one unproved change of its car. */
export type ServiceChange = {
  kind: "service";
  activationId: string;
  attempt: number;
  entitlementId: string;
  applyBefore: Date;
};

/** What activations ask of the desired state of cars. `links` are the cars' rows under the caller's lock. */
export type DesiredState = {
  /** What cars must hold from now on; the ids of these entitlements, in the same order. */
  want(
    tx: Transaction,
    wanted: readonly {
      vehicleId: string;
      source: "service";
      code: string;
      configuration: { readonly [key: string]: unknown };
      durationSeconds: number;
    }[],
  ): Promise<readonly string[]>;
  /** Whether the car's next version could carry a service now. */
  isFree(link: LinkRow): boolean;
  /** Puts one service into the next version of each car. All of them are free. */
  carry(tx: Transaction, changes: readonly { link: LinkRow; unproved: ServiceChange }[]): Promise<void>;
  /** Never delivered: it ends, and leaves the car's next version if it is under way. The rows as they are now. */
  abandon(
    tx: Transaction,
    links: LinkRows,
    abandoned: readonly {
      vehicleId: string;
      activationId: string;
      entitlementId: string | null;
      reason: string;
    }[],
  ): Promise<LinkRows>;
  /** Taken back while they run; those that were running. */
  withdraw(
    tx: Transaction,
    withdrawn: readonly { entitlementId: string; reason: string }[],
  ): Promise<ReadonlySet<string>>;
};
