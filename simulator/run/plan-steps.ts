import { createHash } from "node:crypto";
import { drawExponential } from "../chance/draw.ts";
import { deriveSeed, type Random, seededRandom } from "../chance/seeded-random.ts";
import { actionNames, type Scenario, type Step } from "../scenarios/scenario.ts";

// What a seed decides before anything begins: who comes when, and what each person's own chance is. It is drawn in one
// go, so the clock and the platform's pace have no part in it.

/** A customer or a sale. `seed` decides all that this one does by chance. */
export type Arrival = { afterMs: number; seed: number };

export type StepPlan = {
  name: string;
  /** For the step's own choices, as which cars it is about. */
  seed: number;
  arrivals: readonly Arrival[];
};

/** A Poisson process of `perSecond`, for so long or for so many. */
export function planArrivals(
  random: Random,
  { perSecond, forMs, count }: { perSecond: number; forMs: number; count: number },
): Arrival[] {
  const arrivals: Arrival[] = [];
  for (let afterMs = 0; arrivals.length < count; ) {
    afterMs += drawExponential(random, 1000 / perSecond);
    if (afterMs >= forMs) break;
    arrivals.push({ afterMs, seed: Math.floor(random() * 2 ** 32) });
  }
  return arrivals;
}

export function nameOf(step: Step, index: number): string {
  return step.name ?? `${actionNames.find((name) => step[name] !== undefined) ?? "step"} ${index + 1}`;
}

/** The same for the same scenario and seed. Nobody arrives after the scenario's end. */
export function planSteps(scenario: Scenario, seed: number): StepPlan[] {
  return scenario.steps.map((step, index) => {
    const stepSeed = deriveSeed(seed, "step", index);
    const leftMs = Math.max(0, scenario.duration - step.at);
    const random = seededRandom(deriveSeed(stepSeed, "arrivals"));
    const { purchases, sales } = step;
    const arrivals =
      purchases !== undefined
        ? planArrivals(random, {
            perSecond: purchases.perSecond,
            forMs: Math.min(purchases.for, leftMs),
            count: Number.POSITIVE_INFINITY,
          })
        : sales !== undefined
          ? planArrivals(random, { ...sales, forMs: leftMs })
          : [];
    return { name: nameOf(step, index), seed: stepSeed, arrivals };
  });
}

/** One line by which two runs are seen to have planned the same. */
export function describePlan(scenario: Scenario, plans: readonly StepPlan[]): string {
  const digest = createHash("sha256")
    .update(JSON.stringify([scenario, plans]))
    .digest("hex")
    .slice(0, 12);
  const count = (kind: "purchases" | "sales") =>
    plans.reduce(
      (sum, { arrivals }, index) => sum + (scenario.steps[index]?.[kind] === undefined ? 0 : arrivals.length),
      0,
    );
  return `${digest}: ${plans.length} steps, ${count("purchases")} customers, ${count("sales")} sales`;
}
