import { describe, expect, it } from "vitest";
import { describeEnding, type EndedService } from "./service-endings.ts";

const provedAt = new Date("2026-03-02T09:00:00Z");
const withdrawnAt = new Date("2026-03-05T09:00:00Z");
const goneAt = new Date("2026-03-06T09:00:00Z");
const validUntil = new Date("2026-04-01T09:00:00Z");

const proved: NonNullable<EndedService["entitlement"]> = {
  state: "proved",
  endReason: null,
  withdrawnAt: null,
  endedAt: null,
  validUntil,
};
const active: EndedService = {
  state: "ServiceActive",
  endedAt: provedAt,
  endReason: null,
  payment: { status: "captured", declineReason: null },
  entitlement: proved,
};

describe("when and why a purchase ended", () => {
  it.each(["ServiceSelected", "PaymentInitiated", "OTAQueue", "OTAAttempt", "CustomerNotified"])(
    "not yet, while it is %s [N6]",
    (state) => {
      expect(
        describeEnding({ state, endedAt: null, endReason: null, payment: null, entitlement: null }),
      ).toBeNull();
    },
  );

  it("not while the service runs [N6]", () => {
    expect(describeEnding(active)).toBeNull();
  });

  it.each(["refunded", "chargeBack", "lateDecline"])(
    "%s: when it was withdrawn, whether the car has let go or not [N6]",
    (endReason) => {
      const withdrawn = { ...proved, endReason, withdrawnAt };
      const ending = describeEnding({ ...active, entitlement: { ...withdrawn, state: "ending" } });
      expect(ending).toMatchObject({ at: withdrawnAt, reason: endReason });
      expect(
        describeEnding({ ...active, entitlement: { ...withdrawn, state: "ended", endedAt: goneAt } }),
      ).toEqual(ending);
    },
  );

  it("the term is over: at its end, not when the car fetched the removal [N6]", () => {
    const over = { ...proved, state: "ended" as const, endReason: "termEnded", withdrawnAt, endedAt: goneAt };
    expect(describeEnding({ ...active, entitlement: over })).toEqual({
      at: validUntil,
      reason: "termEnded",
      inWords: "The term that was paid for is over.",
    });
  });

  it("a withdrawal from before its time was kept: when the car let go [N6]", () => {
    const old = { ...proved, state: "ended" as const, endReason: "refunded", endedAt: goneAt };
    expect(describeEnding({ ...active, entitlement: old })?.at).toEqual(goneAt);
  });

  it.each([
    [
      "ServiceDenied",
      "maintenanceOverdue",
      null,
      "Its maintenance is overdue; it can be bought again after a visit to a workshop. Nothing was charged.",
    ],
    ["PaymentFailed", "generic_decline", "failed", "The bank refused the payment. Nothing was charged."],
    [
      "PaymentFailed",
      "processing_error",
      "failed",
      "Its payment could not be made, though no bank refused it (processing_error). Nothing was charged.",
    ],
    [
      "NoCharge",
      "noAnswer",
      "voided",
      "It was not delivered, so what the bank held was let go. Nothing was charged.",
    ],
    [
      "NoCharge",
      "holdLost",
      "voided",
      "The bank let the price go before the car proved it. Nothing was charged.",
    ],
    [
      "NoCharge",
      "refunded",
      "refunded",
      "Its price went back before the car proved it. The whole price was given back.",
    ],
    [
      "NoCharge",
      "noAnswer",
      "captured",
      "It was not delivered, so what the bank held was let go. The price was taken all the same; support gives it back.",
    ],
  ])("%s because of %s, its payment %s: never delivered [N6]", (state, endReason, status, inWords) => {
    const declineReason = state === "PaymentFailed" ? endReason : null;
    const payment = status === null ? null : { status, declineReason };
    expect(describeEnding({ state, endedAt: goneAt, endReason, payment, entitlement: null })).toEqual({
      at: goneAt,
      reason: endReason,
      inWords,
    });
  });
});
