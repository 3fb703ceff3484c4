import type { LinkRow } from "../../store/lock-links.ts";

/** What a car must hold from now on. */
export type Wanted = {
  vehicleId: string;
  source: "plan" | "service";
  code: string;
  configuration: { readonly [key: string]: unknown };
  /** `null`: for the car's life. */
  durationSeconds: number | null;
};

/** What a roll-out gives to every car it reaches. */
export type RollOutStep = Pick<Wanted, "code" | "configuration">;

/** The one change that a version is to prove: the plan's or a roll-out's, or one attempt of a service. */
export type UnprovedChange =
  | { kind: "plan" }
  | { kind: "service"; activationId: string; attempt: number; entitlementId: string; applyBefore: Date };

/** A car under its lock, and what its next version is to prove; `null`: it only repeats or removes. */
export type CarChange = { link: LinkRow; unproved: UnprovedChange | null };
