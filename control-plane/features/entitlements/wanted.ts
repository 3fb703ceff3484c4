/** What a car shall hold from now on. */
export type Wanted = {
  vehicleId: string;
  source: "plan" | "service";
  code: string;
  configuration: { readonly [key: string]: unknown };
  /** `null`: for the car's life. */
  durationSeconds: number | null;
};

/** The change that a manifest is to prove: the plan's, or one service. */
export type UnprovedChange = { kind: "plan" } | { kind: "service"; entitlementId: string; applyBefore: Date };
