import { expect, it } from "vitest";
import { planRefundLookUp } from "./refund-look-ups.ts";

const dayMs = 86_400_000;
const madeAtMs = Date.UTC(2026, 10, 2, 9);

it.each([
  [0, 1],
  [1 * dayMs - 1, 1],
  [1 * dayMs, 3],
  [2 * dayMs, 3],
  [3 * dayMs, 7],
  [10 * dayMs, 14],
  [14 * dayMs, 30],
  [30 * dayMs - 1, 30],
])("%i ms after a refund was made it is looked up on day %i [F11]", (ageMs, day) => {
  expect(planRefundLookUp(madeAtMs, madeAtMs + ageMs)).toBe(madeAtMs + day * dayMs);
});

it("after a month no bank sends a refund back [F11]", () => {
  expect(planRefundLookUp(madeAtMs, madeAtMs + 30 * dayMs)).toBeNull();
});
