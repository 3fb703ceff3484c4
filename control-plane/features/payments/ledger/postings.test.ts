import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type LedgerAccount, ledgerKinds, postingsOf } from "./postings.ts";

const method = fc.constantFrom("card", "cash", "transfer");
const amount = fc.integer({ min: 1, max: 100_000_000 });
const kind = fc.constantFrom(...ledgerKinds);

function balances(
  effects: readonly (readonly [Parameters<typeof postingsOf>[0], number, "card" | "cash" | "transfer"])[],
) {
  const totals = new Map<LedgerAccount, number>();
  for (const effect of effects)
    for (const { account, amountCents } of postingsOf(...effect))
      totals.set(account, (totals.get(account) ?? 0) + amountCents);
  return totals;
}

test("any sequence of payment effects sums to zero, and so does each of them", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(kind, amount, method), { maxLength: 50 }), (effects) => {
      for (const effect of effects) {
        const postings = postingsOf(...effect);
        expect(postings.reduce((sum, posting) => sum + posting.amountCents, 0)).toBe(0);
        expect(new Set(postings.map((posting) => posting.account)).size).toBe(postings.length);
      }
      expect([...balances(effects).values()].reduce((sum, cents) => sum + cents, 0)).toBe(0);
    }),
  );
});

test("a presumption that ends leaves no memo; a charge-back that is won leaves no loss; what is refunded is no deposit any more", () => {
  fc.assert(
    fc.property(amount, fc.boolean(), (cents, confirmed) => {
      const totals = balances([
        ["paymentPresumed", cents, "card"],
        ["presumptionEnded", cents, "card"],
        ...(confirmed
          ? ([
              ["holdPlaced", cents, "card"],
              ["serviceCaptured", cents, "card"],
              ["chargedBack", cents, "card"],
              ["chargeBackWon", cents, "card"],
            ] as const)
          : []),
        ["depositReceived", cents, "card"],
        ["depositChargedBack", cents, "card"],
        ["depositChargeBackWon", cents, "card"],
        ["depositRefunded", cents, "card"],
      ]);
      for (const account of ["presumedPayments", "presumedPaymentsContra", "customerDeposits"] as const)
        expect(totals.get(account)).toBe(0);
      expect(totals.get("chargeBacks") ?? 0).toBe(0);
      expect(totals.get("gatewayClearing")).toBe(confirmed ? cents : 0);
    }),
  );
});

test("a deposit that is earned or forfeited leaves nothing owed; a hold that ends leaves no memo", () => {
  fc.assert(
    fc.property(amount, method, fc.boolean(), fc.boolean(), (cents, by, delivered, proved) => {
      const totals = balances([
        ["depositReceived", cents, by],
        [delivered ? "depositEarned" : "depositForfeited", cents, by],
        ["holdPlaced", cents, "card"],
        [proved ? "serviceCaptured" : "holdReleased", cents, "card"],
      ]);
      expect(totals.get("customerDeposits")).toBe(0);
      expect(totals.get("cardHolds")).toBe(0);
      expect(totals.get("cardHoldsContra")).toBe(0);
      expect(totals.get(delivered ? "vehicleSales" : "forfeitedReservations")).toBe(-cents);
      expect(totals.get("serviceRevenue")).toBe(proved ? -cents : undefined);
    }),
  );
});
