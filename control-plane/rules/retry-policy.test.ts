import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { activationRetryPolicy, computeDelayCeiling, decideRetry } from "./retry-policy.ts";

const almostOne = 1 - 2 ** -53;

describe("retries of an activation [FA7, SA12]", () => {
  it("wait up to 2 s before the first and up to 5 min before the fourth, ever longer", () => {
    const ceilings = [1, 2, 3, 4].map((retry) => computeDelayCeiling(activationRetryPolicy, retry));
    expect(ceilings[0]).toBe(2_000);
    expect(ceilings[3]).toBe(300_000);
    const ratios = ceilings.slice(1).map((ceiling, index) => ceiling / (ceilings[index] ?? Number.NaN));
    for (const ratio of ratios) expect(ratio).toBeCloseTo(5.313, 2);
  });

  const waits: [number, number, number][] = [
    [1, 0, 0],
    [1, 0.5, 1_000],
    [1, almostOne, 1_999],
    [4, 0.5, 150_000],
  ];
  it.each(waits)("after %i attempts the draw %d waits %i ms", (attemptsUsed, random, delayMs) => {
    expect(decideRetry("transient", attemptsUsed, random)).toEqual({
      kind: "retry",
      event: "retryStarted",
      retry: attemptsUsed,
      delayMs,
      attemptsAllowed: 5,
    });
  });

  it.each([5, 6])("after %i attempts nothing is left [SA13]", (attemptsUsed) => {
    expect(decideRetry("transient", attemptsUsed, 0)).toEqual({
      kind: "exhausted",
      event: "attemptsExhausted",
      attemptsAllowed: 5,
    });
  });

  it.each([1, 3])(
    "a car that refuses for good is not asked again, after %i attempts [SA13]",
    (attemptsUsed) => {
      expect(decideRetry("permanent", attemptsUsed, 0)).toEqual({
        kind: "exhausted",
        event: "attemptsExhausted",
        attemptsAllowed: attemptsUsed,
      });
    },
  );

  it("never wait beyond their ceiling, whatever is drawn", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.double({ min: 0, max: almostOne, noNaN: true }),
        (attemptsUsed, random) => {
          const decision = decideRetry("transient", attemptsUsed, random);
          return (
            decision.kind === "retry" &&
            Number.isInteger(decision.delayMs) &&
            decision.delayMs >= 0 &&
            decision.delayMs < computeDelayCeiling(activationRetryPolicy, attemptsUsed)
          );
        },
      ),
    );
  });

  it("a policy of one retry waits the first delay, a policy of none waits for nothing", () => {
    const one = { retries: 1, firstDelayMs: 100, lastDelayMs: 900 };
    expect(decideRetry("transient", 1, 0.5, one)).toMatchObject({ kind: "retry", delayMs: 50 });
    expect(decideRetry("transient", 1, 0.5, { ...one, retries: 0 })).toMatchObject({ kind: "exhausted" });
  });
});
