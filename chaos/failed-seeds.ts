import type { OtaOptions } from "./ota-plan.ts";

/** Schedules that once found a defect, in a size in which they find it: `npm test` plays them again. */
export const failedSeeds: readonly (OtaOptions & { found: string })[] = [
  {
    ...{ vehicles: 40, activations: 80, seed: 11 },
    found: "a hold that stayed at the gateway for a week after the bank had refused its capture",
  },
];
