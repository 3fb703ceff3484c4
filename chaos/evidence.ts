import type { GatewayIntent } from "../lab/gateway-books.ts";
import type { PinnedEnd } from "./ota-plan.ts";

// What the auditor is given: what customers asked for and were told, the gateway's own store, the cars' own slots.
// Nothing of it is read from the platform's tables, except what a car must hold and whether work is left.

/** A purchase as its customer sees it. */
export type Asked = {
  vin: string;
  serviceCode: string;
  priceCents: number;
  /** `null`: never answered with an activation. */
  activationId: string | null;
  end: PinnedEnd;
  /** Why it is taken back where it was delivered and is no longer; `null`: it is not taken back. */
  withdrawnBecause: string | null;
};

/** An activation as REST shows it to its customer at the end. */
export type Shown = {
  activationId: string;
  vin: string;
  serviceCode: string;
  state: string;
  /** Why a service that was active is no longer; `null` where it is, or never was. */
  withdrawnBecause: string | null;
};

/** What the platform holds as an entitlement of the car, and what a person is asked to do. */
export type Entitled = { activationId: string; state: string };
export type OpenTask = { activationId: string; kind: string };

/** What the active slot of a car holds, and what it must hold by its manifest; `null` where its owner is shown none. */
export type CarHolds = {
  vin: string;
  hash: string;
  wantedHash: string | null;
  codes: readonly string[];
  wantedCodes: readonly string[] | null;
};

/** What a car processed, in its order. */
export type CarCommit = {
  vin: string;
  version: number;
  result: "applied" | "failed";
  /** The version in its active slot when it told; `null`: none, or a damaged one. */
  slotVersion: number | null;
};

export type Evidence = {
  asked: readonly Asked[];
  shown: readonly Shown[];
  intents: readonly GatewayIntent[];
  cars: readonly CarHolds[];
  commits: readonly CarCommit[];
  entitlements: readonly Entitled[];
  tasks: readonly OpenTask[];
  /** A number that only a forger uses; a part that shows a higher one believed the forger. */
  forgedOffset: number;
  /** Versions and sequence numbers the platform believes of each car. */
  believed: readonly { vin: string; version: number; seq: number }[];
  /** Activations that are not final and that nothing works on. */
  stuck: readonly string[];
  /** Transactions of the platform's ledger whose postings do not sum to zero. */
  unbalanced: readonly string[];
};
