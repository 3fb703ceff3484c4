import { describe, expect, it } from "vitest";
import {
  decideAfterRefusal,
  defaultFinalPaymentTerms,
  forfeitureRules,
  planFinalPaymentDue,
  planNextNotice,
} from "./final-payment-policy.ts";

const dayMs = 86_400_000;
const at = Date.UTC(2026, 2, 2, 9);

describe("when the final payment loses the car [LF5, LF6]", () => {
  it("at the first refusal and at no date, unless the terms say otherwise", () => {
    expect(decideAfterRefusal(1, defaultFinalPaymentTerms.tries, null, at)).toEqual({ kind: "lost" });
    expect(planFinalPaymentDue(at, defaultFinalPaymentTerms)).toBeNull();
  });

  it.each([
    [1, 3, null, { kind: "mayTryAgain", triesLeft: 2 }],
    [2, 3, null, { kind: "mayTryAgain", triesLeft: 1 }],
    [3, 3, null, { kind: "lost" }],
    [4, 3, null, { kind: "lost" }],
    [1, 3, at + 1, { kind: "mayTryAgain", triesLeft: 2 }],
    [1, 3, at, { kind: "lost" }],
    [1, 3, at - 1, { kind: "lost" }],
  ])("refusal %i of %i, due at %s", (refusals, tries, dueAtMs, expected) => {
    expect(decideAfterRefusal(refusals, tries, dueAtMs, at)).toEqual(expected);
  });

  it.each([
    [14, [7, 11, 13, 14]],
    [7, [4, 6, 7]],
    [3, [2, 3]],
    [1, [1]],
  ])("with %i days the notices come after %j days", (deadlineDays, expected) => {
    const dueAtMs = planFinalPaymentDue(at, { tries: 1, deadlineDays }) ?? 0;
    const days: number[] = [];
    for (let now = at; now < dueAtMs; ) {
      now = planNextNotice(at, dueAtMs, now);
      days.push((now - at) / dayMs);
    }
    expect(days).toEqual(expected);
  });

  it("every rule says why it exists", () => {
    for (const { reason } of Object.values(forfeitureRules)) expect(reason.length).toBeGreaterThan(30);
  });
});
