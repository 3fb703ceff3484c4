import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decidePresumption,
  isDecided,
  lastAskMarginMs,
  mayAskAgain,
  type PresumptionFacts,
  type PresumptionLimits,
  type PresumptionRuleId,
  planNextLookUp,
  planReconciliation,
  presumptionRules,
  reconcileWithinMs,
  searchSettlesAfterMs,
} from "./presumption-policy.ts";

const limits: PresumptionLimits = { maxAmountCents: 5_000, customerCapCents: 8_000, totalCapCents: 20_000 };
const good: PresumptionFacts = {
  kind: "service",
  wanted: true,
  amountCents: 1_900,
  earlierCaptures: 1,
  chargeBacks: 0,
  customerOpenCents: 0,
  totalOpenCents: 0,
};

describe("which unanswered payment is presumed [FA4]", () => {
  const cases: [title: string, facts: Partial<PresumptionFacts>, rule: PresumptionRuleId | null][] = [
    ["a small service of a known customer", {}, null],
    ["the reservation waits for certainty", { kind: "reservation" }, "PP1"],
    ["the final payment waits for certainty", { kind: "final" }, "PP1"],
    ["a purchase given up meanwhile", { wanted: false }, "PP2"],
    ["a customer who never paid by card", { earlierCaptures: 0 }, "PP3"],
    ["a customer who charged a payment back", { chargeBacks: 1 }, "PP4"],
    ["a price at the limit", { amountCents: 5_000 }, null],
    ["a price one cent above it", { amountCents: 5_001 }, "PP5"],
    ["the customer's cap exactly reached", { customerOpenCents: 6_100, totalOpenCents: 6_100 }, null],
    ["one cent above the customer's cap", { customerOpenCents: 6_101, totalOpenCents: 6_101 }, "PP6"],
    ["the cap of all exactly reached", { totalOpenCents: 18_100 }, null],
    ["one cent above the cap of all", { totalOpenCents: 18_101 }, "PP7"],
    ["the first rule that fails is named", { kind: "final", earlierCaptures: 0, amountCents: 1 }, "PP1"],
  ];

  it.each(cases)("%s", (_title, facts, rule) => {
    expect(decidePresumption({ ...good, ...facts }, limits)).toEqual(
      rule === null ? { kind: "presumed" } : { kind: "waits", rule, reason: presumptionRules[rule].refusal },
    );
  });

  it.each(["maxAmountCents", "customerCapCents", "totalCapCents"] as const)(
    "nothing is presumed where %s is zero",
    (limit) => {
      expect(decidePresumption({ ...good, amountCents: 1 }, { ...limits, [limit]: 0 }).kind).toBe("waits");
    },
  );

  it("every rule is reached, and says why it exists", () => {
    expect(new Set(cases.flatMap(([, , rule]) => (rule === null ? [] : [rule])))).toEqual(
      new Set(Object.keys(presumptionRules)),
    );
    for (const { reason } of Object.values(presumptionRules)) expect(reason.length).toBeGreaterThan(30);
  });

  it("open presumptions never exceed a cap, in any order of payments and outcomes", () => {
    const purchase = fc.record({
      customer: fc.nat({ max: 3 }),
      amountCents: fc.integer({ min: 1, max: 6_000 }),
    });
    fc.assert(
      fc.property(fc.array(purchase, { maxLength: 60 }), (purchases) => {
        const open = new Map<number, number>();
        let total = 0;
        for (const { customer, amountCents } of purchases) {
          const mine = open.get(customer) ?? 0;
          const facts = { ...good, amountCents, customerOpenCents: mine, totalOpenCents: total };
          if (decidePresumption(facts, limits).kind === "waits") continue;
          open.set(customer, mine + amountCents);
          total += amountCents;
        }
        return (
          total <= limits.totalCapCents &&
          [...open.values()].every((cents) => cents <= limits.customerCapCents)
        );
      }),
    );
  });
});

describe("when a presumed payment is looked up [FA5]", () => {
  const at = Date.UTC(2026, 2, 2, 9);
  const presumed = planReconciliation(at);

  it("is decided after a day, as long as the gateway remembers a key", () => {
    expect(presumed.reconcileByMs - at).toBe(24 * 3_600_000);
    expect(isDecided(presumed, at + reconcileWithinMs - 1)).toBe(false);
    expect(isDecided(presumed, at + reconcileWithinMs)).toBe(true);
  });

  it("given up, is decided as soon as the gateway's search has caught up", () => {
    expect(isDecided(presumed, at + searchSettlesAfterMs - 1, false)).toBe(false);
    expect(isDecided(presumed, at + searchSettlesAfterMs, false)).toBe(true);
    expect(isDecided(presumed, at + searchSettlesAfterMs)).toBe(false);
  });

  it("is asked for until an hour before the deadline, so no request is on its way at the deadline", () => {
    expect(mayAskAgain(presumed, presumed.reconcileByMs - lastAskMarginMs - 1)).toBe(true);
    expect(mayAskAgain(presumed, presumed.reconcileByMs - lastAskMarginMs)).toBe(false);
  });

  it("is looked up soon, then less and less often, at the deadline itself, and hourly after it", () => {
    const times: number[] = [];
    for (let now = at; now < presumed.reconcileByMs + 2 * 3_600_000; ) {
      now = planNextLookUp(presumed, now);
      times.push(now);
    }
    expect(times.slice(0, 4).map((time) => (time - at) / 1_000)).toEqual([10, 20, 40, 80]);
    expect(times).toContain(presumed.reconcileByMs);
    expect(times.slice(-2).map((time) => (time - presumed.reconcileByMs) / 3_600_000)).toEqual([1, 2]);
    expect(times.length).toBeLessThan(50);
  });
});
