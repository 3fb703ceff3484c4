import { describe, expect, it } from "vitest";
import { computeFinalPayment, pricePlan } from "./pricing.ts";

describe("the plan comercial [DO2, DA2]", () => {
  it("costs its base and its options", () => {
    expect(pricePlan({ basePriceCents: 2_500_000, optionPricesCents: [120_050, 30_000] })).toEqual({
      kind: "priced",
      priceCents: 2_650_050,
    });
    expect(pricePlan({ basePriceCents: 2_500_000, optionPricesCents: [] })).toMatchObject({
      priceCents: 2_500_000,
    });
  });

  it.each([-1, 0.5, Number.NaN, 2 ** 53])("%d is no price", (cents) => {
    expect(pricePlan({ basePriceCents: 100, optionPricesCents: [cents] })).toMatchObject({
      code: "notAnAmount",
    });
    expect(pricePlan({ basePriceCents: cents, optionPricesCents: [] })).toMatchObject({
      code: "notAnAmount",
    });
  });

  it("a sum beyond exact integers is refused", () => {
    const huge = Number.MAX_SAFE_INTEGER;
    expect(pricePlan({ basePriceCents: huge, optionPricesCents: [1] })).toMatchObject({
      code: "notAnAmount",
    });
  });
});

describe("the final payment [DA8]", () => {
  it("is the price without the reservation", () => {
    expect(computeFinalPayment(2_650_050, 100_000)).toEqual({ kind: "due", finalPaymentCents: 2_550_050 });
    expect(computeFinalPayment(2, 1)).toEqual({ kind: "due", finalPaymentCents: 1 });
  });

  it.each([
    [100, 100, "reservationNotBelowPrice"],
    [100, 101, "reservationNotBelowPrice"],
    [100, 0, "reservationTooSmall"],
    [100, -1, "notAnAmount"],
    [100.5, 1, "notAnAmount"],
  ])("a price of %d with a reservation of %d is refused: %s", (price, reservation, code) => {
    expect(computeFinalPayment(price, reservation)).toMatchObject({ kind: "refused", code });
  });
});
