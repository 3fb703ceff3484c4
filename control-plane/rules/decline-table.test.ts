import { describe, expect, it } from "vitest";
import { declineClasses, declineTable, needsPerson, planConfirmation, readDecline } from "./decline-table.ts";

describe("why a payment was not made", () => {
  it.each([
    ["insufficient_funds", "refusal"],
    ["card_declined", "refusal"],
    ["generic_decline", "refusal"],
    ["expired_card", "refusal"],
    ["lost_card", "refusal"],
    ["confirmationExpired", "refusal"],
    ["processing_error", "tryAgain"],
    ["try_again_later", "tryAgain"],
    ["issuer_not_available", "tryAgain"],
    ["rate_limit", "tryAgain"],
    ["authentication_required", "confirm"],
    ["amount_too_small", "notMade"],
    ["paymentMethodNotUsable", "notMade"],
    ["unknownPaymentMethod", "notMade"],
    ["payment_intent_authentication_failure", "notMade"],
  ] as const)("%s: %s; only a refusal by the bank counts as one [F7, F8, F9, FA10]", (code, expected) => {
    expect(readDecline(code).class).toBe(expected);
    expect(readDecline(code, "request").class).toBe(expected);
  });

  it("a code that is not in the table is a no of the bank, or a request that is not taken, by its sender", () => {
    expect(readDecline("a_code_of_tomorrow").class).toBe("refusal");
    expect(readDecline("a_code_of_tomorrow", "request").class).toBe("notMade");
    expect(readDecline("constructor").class).toBe("refusal");
  });

  it("every row says what the customer may do and what staff see, and keeps a theft from the customer", () => {
    for (const { class: kind, advice, staff } of Object.values(declineTable)) {
      expect(declineClasses).toContain(kind);
      for (const text of [advice, staff]) expect(text).toMatch(/^[A-Z].*\.$/);
    }
    for (const code of ["lost_card", "stolen_card", "fraudulent"] as const)
      expect(declineTable[code].advice).toBe("Use another card.");
  });

  it.each([
    ["processing_error", true],
    ["amount_too_small", true],
    ["a_code_of_tomorrow", true],
    ["requestRefused", true],
    ["unknownPaymentMethod", false],
    ["paymentMethodNotUsable", false],
    ["payment_intent_authentication_failure", false],
    ["secondLookFailed", false],
  ])("%s needs a person: %s", (code, expected) => {
    expect(needsPerson(code)).toBe(expected);
  });

  it("a confirmation has one reminder, half-way", () => {
    expect(planConfirmation(0, 24)).toEqual({ remindAtMs: 12 * 3_600_000, confirmByMs: 24 * 3_600_000 });
  });
});
