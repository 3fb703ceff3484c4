import { expect, test } from "vitest";
import { drawExponential } from "./draw.ts";
import { seededRandom } from "./seeded-random.ts";

test("the same seed draws the same arrivals, at the rate that was asked for", () => {
  const draw = (seed: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 5_000 }, () => drawExponential(random, 1000 / 4));
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  const gaps = draw(7);
  expect(gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length).toBeCloseTo(250, -1.5);
});
