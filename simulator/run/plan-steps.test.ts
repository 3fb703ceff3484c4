import { expect, test } from "vitest";
import { seededRandom } from "../chance/seeded-random.ts";
import { parseScenario } from "../scenarios/read-scenario.ts";
import { beginWhenDue } from "./pace.ts";
import { describePlan, planArrivals, planSteps } from "./plan-steps.ts";

const scenario = parseScenario(
  JSON.stringify({
    describes: "customers and sales",
    vehicles: 10,
    ramp: "1s",
    duration: "10s",
    settle: "1s",
    steps: [
      { name: "customers", purchases: { perSecond: 6, for: "9s" } },
      { name: "late ones", at: "8s", purchases: { perSecond: 6, for: "9s" } },
      { name: "sales", sales: { count: 7, perSecond: 5 } },
    ],
  }),
  "the scenario of this test",
);

test("the same seed plans the same customers and sales, each with the same chance, whatever the clock does [N20]", () => {
  const [customers, late, sales] = planSteps(scenario, 3);
  expect(planSteps(scenario, 3)).toEqual([customers, late, sales]);
  expect(planSteps(scenario, 4)).not.toEqual([customers, late, sales]);
  // 54 on average.
  expect(customers?.arrivals.length).toBeGreaterThan(35);
  expect(customers?.arrivals.every(({ afterMs }) => afterMs < 9_000)).toBe(true);
  // Nobody is planned beyond the scenario's end.
  expect(late?.arrivals.every(({ afterMs }) => afterMs < 2_000)).toBe(true);
  expect(sales?.arrivals).toHaveLength(7);
  const described = describePlan(scenario, planSteps(scenario, 3));
  expect(described).toBe(describePlan(scenario, planSteps(scenario, 3)));
  expect(described).toMatch(
    new RegExp(
      `^[0-9a-f]{12}: 3 steps, ${(customers?.arrivals.length ?? 0) + (late?.arrivals.length ?? 0)} customers, 7 sales$`,
    ),
  );
  expect(describePlan(scenario, planSteps(scenario, 4)).slice(0, 12)).not.toBe(described.slice(0, 12));
});

test("whoever is planned comes, also when the clock is late for all of them [N20]", async () => {
  const arrivals = planArrivals(seededRandom(1), {
    perSecond: 20_000,
    forMs: 20,
    count: Number.POSITIVE_INFINITY,
  });
  const come: number[] = [];
  await beginWhenDue(arrivals, new AbortController().signal, ({ seed }) => {
    come.push(seed);
    const until = performance.now() + 1;
    while (performance.now() < until && come.length < 40);
  });
  expect(come).toEqual(arrivals.map(({ seed }) => seed));
});
