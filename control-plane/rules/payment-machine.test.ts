import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decidePayment,
  findMismatch,
  fits,
  hearDispute,
  isNews,
  isWorthLookingUp,
  nameRelease,
  type PaymentHeard,
  type PaymentState,
  paymentEffects,
  paymentHeard,
  paymentKinds,
  paymentRows,
  paymentSettlements,
  paymentStatuses,
} from "./payment-machine.ts";

// The oracle is written as questions and not as rows, so that the table cannot vouch for itself: "next: effects", with
// the settlement where it changes, "–" where nothing happens, or the beginning of what stops it.

function expectOf({ kind, status, settlement }: PaymentState, heard: PaymentHeard): string {
  const isService = kind === "service";
  const isVoid = settlement === "void";
  switch (heard) {
    case "requested":
      return status === "start" ? "pending: askForMoney" : "never";
    case "recordedByStaff":
      if (isService || status !== "start") return "never";
      return `recorded: postDeposit ${kind === "final" ? "recordFinalPaid" : "recordReservationPaid"}`;
    case "recordedForCheck":
      return isService || status !== "start" ? "never" : "unchecked: askSecondLook";
    case "checkPassed":
    case "checkFailed":
      if (status === "start") return "never";
      if (status !== "unchecked") return `this payment is ${status}: there is nothing to look at`;
      if (heard === "checkFailed") return "declined: recordNotMade";
      return `recorded: postDeposit ${kind === "final" ? "recordFinalPaid" : "recordReservationPaid"}`;
    case "failedForNow":
      if (status === "start") return "never";
      if (status !== "unconfirmed") return "–";
      return isVoid ? "voided: tellVoided" : "pending: askForMoney";
    case "unconfirmed":
      return expectOfUnconfirmed(kind, status, isVoid);
    case "held":
    case "captured":
    case "declined":
    case "released":
    case "invalid":
    case "capturedOtherAmount":
      return expectOfAnswer({ kind, status, settlement }, heard);
    case "mismatched":
      return status === "start" ? "never" : `${status}: reportMismatch`;
    case "presumed":
      if (status === "start") return "never";
      if (status !== "pending") return "–";
      return isService && !isVoid ? "presumed: presume tellPresumed" : "never";
    case "waits":
      if (status === "start") return "never";
      if (status !== "pending") return "–";
      return isService && !isVoid ? "pending: recordWaiting tellAwaited" : "pending: recordWaiting";
    case "captureAsked":
      return isService ? expectOfCapture(status, settlement) : "never";
    case "releaseAsked":
      return isService ? expectOfRelease(status, settlement) : "never";
    case "chargeBackOpened":
      if (status === "start") return "never";
      return isService ? "chargedBack: openChargeBack tellChargedBack" : "chargedBack: openChargeBack";
    case "chargeBackFoundWon":
      return status === "start" ? "never" : "chargedBack: openChargeBack";
    case "chargeBackWon":
      if (status === "start") return "never";
      return isService ? "captured: winChargeBack tellChargeBackClosed" : "captured: winChargeBack";
    case "chargeBackWonAfterRefund":
      if (status === "start") return "never";
      return isService ? "refunded: winChargeBack tellChargeBackClosed" : "refunded: winChargeBack";
    case "chargeBackLost":
      if (status === "start") return "never";
      return `${status}: loseChargeBack${isService ? " tellChargeBackClosed" : ""}`;
    case "refundAsked":
      if (status === "start") return "never";
      if (!isService) return "reservation and final payment are settled with the sale, not refunded";
      return status === "captured"
        ? "captured: startRefund"
        : `this payment is ${status}: there is nothing to give back`;
    case "refundedInPart":
    case "refundedInFull": {
      if (status === "start") return "never";
      const isWhole = heard === "refundedInFull";
      const next = status === "captured" && isWhole ? "refunded" : status;
      const twice = status === "chargedBack" && isWhole ? " reportGivenBackTwice" : "";
      const givenUp = next === "refunded" && status === "captured" && isVoid ? " tellVoided" : "";
      return `${next}: postRefund${twice}${givenUp}${isService ? " tellRefunded" : ""}`;
    }
    case "refundFailed":
      if (status === "start") return "never";
      return `${status === "refunded" ? "captured" : status}: postRefundFailed reportRefundFailed${isService ? " tellRefundFailed" : ""}`;
    case "refundRefused":
      return status === "start" ? "never" : `${status}: giveUpRefund`;
  }
}

function expectOfUnconfirmed(
  kind: PaymentState["kind"],
  status: PaymentState["status"],
  isVoid: boolean,
): string {
  switch (status) {
    case "start":
    case "unchecked":
      return "never";
    case "pending":
      return isVoid ? "voided: tellVoided askReleaseStray" : "unconfirmed: askConfirmation";
    case "presumed":
      if (kind !== "service") return "never";
      return isVoid
        ? "voided: dropPresumption tellVoided askReleaseStray"
        : "declined: compensatePresumption tellRefuted askReleaseStray";
    case "declined":
    case "voided":
      return `${status}: askReleaseStray`;
    default:
      return "–";
  }
}

function expectOfAnswer(
  { kind, status, settlement }: PaymentState,
  answer: "held" | "captured" | "capturedOtherAmount" | "declined" | "released" | "invalid",
): string {
  const isService = kind === "service";
  const isVoid = settlement === "void";
  const isCapture = answer === "captured" || answer === "capturedOtherAmount";
  /** A capture against our word is reported as that, whatever its amount. */
  const report = isVoid
    ? "reportContradiction "
    : answer === "capturedOtherAmount"
      ? "reportOtherAmount "
      : "";
  switch (status) {
    case "start":
    case "unchecked":
      return "never";
    case "pending":
    case "unconfirmed":
      if (answer === "held") {
        if (!isService) return "never";
        return isVoid ? "authorised: postHold askRelease" : "authorised: postHold tellAuthorised";
      }
      if (answer === "capturedOtherAmount" && !isService) return "never";
      if (isCapture) {
        if (isService) return `captured: postHold postCapture ${report}tellCaptured`;
        return kind === "final"
          ? "captured: postDeposit recordFinalPaid"
          : "captured: postDeposit recordReservationPaid";
      }
      if (isService) return isVoid ? "voided: tellVoided" : "declined: tellDeclined";
      return kind === "final" && answer !== "invalid"
        ? "declined: judgeFinalRefusal"
        : "declined: recordNotMade";
    case "presumed":
      if (!isService) return "never";
      if (answer === "held") {
        if (isVoid) return "authorised: confirmPresumption postHold askRelease";
        return `authorised: confirmPresumption postHold tellConfirmed${settlement === "capture" ? " askCapture" : ""}`;
      }
      if (isCapture) return `captured: confirmPresumption postHold postCapture ${report}tellCaptured`;
      return isVoid ? "voided: dropPresumption tellVoided" : "declined: compensatePresumption tellRefuted";
    case "authorised":
      if (!isService) return "never";
      if (answer === "held") return "–";
      if (isCapture) return `captured: postCapture ${report}tellCaptured`;
      return `${answer === "released" ? "voided" : "declined"}: postRelease ${
        settlement === "capture"
          ? `reportUnpaid${answer === "released" ? "" : " askReleaseStray"}`
          : isVoid
            ? "tellVoided"
            : "tellHoldGone"
      }`;
    case "declined":
    case "voided":
      if (answer === "held") return `${status}: askReleaseStray`;
      return isCapture ? `${status}: reportContradiction` : "–";
    case "captured":
    case "recorded":
    case "refunded":
    case "chargedBack":
      return "–";
  }
}

function expectOfCapture(status: PaymentState["status"], settlement: PaymentState["settlement"]): string {
  if (status === "start") return "never";
  if (status === "captured") return "–";
  if (settlement === "void") return `${status}: logTooLate`;
  if (status === "pending" || status === "unconfirmed") return "never";
  const isFirst = settlement === null;
  if (status === "presumed") return isFirst ? "presumed/capture: settleCapture" : "–";
  if (status === "authorised")
    return isFirst ? "authorised/capture: settleCapture mayCapture" : "authorised: mayCapture";
  return isFirst ? `${status}/capture: settleCapture reportUnpaid` : "–";
}

function expectOfRelease(status: PaymentState["status"], settlement: PaymentState["settlement"]): string {
  if (status === "start") return "never";
  if (settlement === "capture") return `${status}: logTooLate`;
  const next = settlement === null ? `${status}/void: settleVoid` : `${status}:`;
  switch (status) {
    case "pending":
    case "presumed":
      return settlement === null ? next : "–";
    case "unconfirmed":
    case "authorised":
      return `${next} mayRelease`;
    case "declined":
    case "voided":
      return `${next} tellVoided`;
    case "captured":
      return settlement === null ? `${next} reportContradiction` : "–";
    case "refunded":
    case "chargedBack":
      return `${next} tellVoided`;
    default:
      return "never";
  }
}

function describeDecision(payment: PaymentState, heard: PaymentHeard): string {
  try {
    const decision = decidePayment(payment, heard);
    if (decision.kind === "refused") return decision.message;
    const { status, settlement, effects } = decision;
    if (effects.length === 0 && status === payment.status) return "–";
    const settled = settlement === payment.settlement ? "" : `/${settlement}`;
    return `${status}${settled}: ${effects.join(" ")}`;
  } catch {
    return "never";
  }
}

const beginnings = paymentKinds.map((kind): PaymentState => ({ kind, status: "start", settlement: null }));

/** Every state that a payment can come to, whatever it hears in whatever order. */
function listReachable(): PaymentState[] {
  const reached = new Map<string, PaymentState>();
  const waiting = [...beginnings];
  for (let state = waiting.pop(); state !== undefined; state = waiting.pop()) {
    const name = Object.values(state).join();
    if (reached.has(name)) continue;
    reached.set(name, state);
    for (const heard of paymentHeard) {
      const next = describeDecision(state, heard) === "never" ? null : decidePayment(state, heard);
      if (next?.kind !== "decided") continue;
      waiting.push({ kind: state.kind, status: next.status, settlement: next.settlement });
    }
  }
  return [...reached.values()];
}

const reachable = listReachable();

describe("what becomes of a payment", () => {
  it.each(
    paymentKinds.flatMap((kind) =>
      (["start", ...paymentStatuses] as const).flatMap((status) =>
        paymentSettlements.map((settlement) => ({ kind, status, settlement })),
      ),
    ),
  )("$kind, $status, settlement $settlement: every message [FA4, FA5]", (payment) => {
    const isReachable = reachable.some(
      ({ kind, status, settlement }) =>
        kind === payment.kind && status === payment.status && settlement === payment.settlement,
    );
    for (const heard of paymentHeard) {
      const rows = paymentRows.filter((row) => fits(row, payment, heard));
      const expected = expectOf(payment, heard);
      expect([heard, rows.length > 1]).toEqual([heard, false]);
      if (isReachable) expect([heard, describeDecision(payment, heard)]).toEqual([heard, expected]);
    }
  });

  it("every row is about a state that can be reached", () => {
    const idle = paymentRows.filter(
      (row) => !reachable.some((state) => paymentHeard.some((heard) => fits(row, state, heard))),
    );
    expect(idle).toEqual([]);
  });

  it("a row's effects are in the order in which they are carried out", () => {
    for (const row of paymentRows) {
      const effects = row[5];
      expect(effects).toEqual(paymentEffects.filter((effect) => effects.includes(effect)));
    }
  });

  it("only a service's payment is held, presumed or voided; staff record a reservation or the final payment [F14]", () => {
    const ofSale = new Set(reachable.filter(({ kind }) => kind !== "service").map(({ status }) => status));
    expect([...ofSale].sort()).toEqual(
      [
        "start",
        "pending",
        "unconfirmed",
        "captured",
        "recorded",
        "unchecked",
        "declined",
        "refunded",
        "chargedBack",
      ].sort(),
    );
    expect(
      reachable
        .filter(({ status }) => status === "recorded")
        .map(({ kind }) => kind)
        .sort()
        .reverse(),
    ).toEqual(["reservation", "final"]);
  });

  it("what cannot happen says what and why", () => {
    const pending = { kind: "service", status: "pending", settlement: null } as const;
    expect(() => decidePayment(pending, "captureAsked")).toThrow(
      "a service payment that is pending cannot hear captureAsked: proved before it is held",
    );
    expect(() => decidePayment({ ...pending, kind: "final" }, "recordedByStaff")).toThrow(
      "a final payment that is pending cannot hear recordedByStaff",
    );
  });
});

describe("any sequence of messages", () => {
  it("a hold is never both taken and let go, whatever comes in whatever order", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...paymentHeard), { maxLength: 60 }), (sequence) => {
        let payment: PaymentState = { kind: "service", status: "start", settlement: null };
        const asked = new Set<string>();
        for (const heard of sequence) {
          if (describeDecision(payment, heard) === "never") continue;
          const decision = decidePayment(payment, heard);
          if (decision.kind === "refused") continue;
          if (payment.settlement !== null && decision.settlement !== payment.settlement) return false;
          for (const effect of decision.effects) asked.add(effect);
          payment = { ...payment, status: decision.status, settlement: decision.settlement };
        }
        const isTaken = asked.has("askCapture") || asked.has("mayCapture");
        return !(isTaken && (asked.has("askRelease") || asked.has("mayRelease")));
      }),
    );
  });
});

describe("which message of the gateway is asked about", () => {
  it.each([
    ["pending", "held captured declined released invalid unconfirmed"],
    ["presumed", "held captured declined released invalid unconfirmed"],
    ["unconfirmed", "held captured declined released invalid failedForNow"],
    ["authorised", "captured declined released invalid"],
    ["declined", "held captured unconfirmed"],
    ["voided", "held captured unconfirmed"],
    ["captured", ""],
    ["refunded", ""],
    ["chargedBack", ""],
  ] as const)("%s: %s", (status, expected) => {
    for (const settlement of paymentSettlements) {
      const payment = { kind: "service", status, settlement } as const;
      const news = (
        ["held", "captured", "declined", "released", "invalid", "unconfirmed", "failedForNow"] as const
      ).filter((answer) => isNews(payment, answer));
      expect(news.join(" ")).toBe(expected);
      expect(isWorthLookingUp(payment)).toBe(expected !== "");
    }
  });

  it("a sale's payment that is held against all promises is asked about too", () => {
    expect(isNews({ kind: "final", status: "pending", settlement: null }, "held")).toBe(true);
    expect(isWorthLookingUp({ kind: "reservation", status: "recorded", settlement: null })).toBe(false);
  });
});

describe("whose payment the gateway means", () => {
  const ours = {
    id: "p1",
    activationId: "a1",
    kind: "service",
    amountCents: 499,
    currency: "EUR",
    isKnown: true,
  } as const;
  const theirs = { reference: "p1", activationId: "a1", amountCents: 499, currency: "EUR" };

  it.each([
    ["ours, held", {}, {}, null, null],
    ["ours, taken", {}, {}, 499, null],
    ["less taken of the hold we know", {}, {}, 249, null],
    ["more taken of the hold we know, so that its amount grew", {}, { amountCents: 600 }, 600, null],
    ["its reference was changed, and our activation still stands there", {}, { reference: "x" }, null, null],
    ["another's reference", {}, { reference: "p2", activationId: null }, null, "reference"],
    ["no reference", {}, { reference: null, activationId: null }, null, "reference"],
    [
      "a sale's, of another reference",
      { kind: "final", activationId: null },
      { reference: "p2", activationId: null },
      499,
      "reference",
    ],
    ["another currency", {}, { currency: "USD" }, 499, "currency"],
    ["another amount held", {}, { amountCents: 498 }, null, "amount"],
    [
      "another amount held, of an intent we do not know",
      { isKnown: false },
      { amountCents: 498 },
      null,
      "amount",
    ],
    [
      "another amount taken, of an intent we do not know",
      { isKnown: false },
      { amountCents: 249 },
      249,
      "amount",
    ],
    ["less taken of our amount, of an intent we do not know yet", { isKnown: false }, {}, 249, null],
    ["nothing taken, though it says so", {}, {}, 0, "amount"],
    [
      "a sale's payment is taken whole, or it is not ours",
      { kind: "final", activationId: null },
      {},
      498,
      "amount",
    ],
    ["a sale's payment, taken whole", { kind: "reservation", activationId: null }, {}, 499, null],
  ] as const)("%s [F10, R4]", (_title, more, said, takenCents, expected) => {
    expect(findMismatch({ ...ours, ...more }, { ...theirs, ...said }, takenCents)).toBe(expected);
  });
});

describe("what a dispute says", () => {
  it.each([
    [undefined, "won", ["chargeBackFoundWon", "chargeBackWonAfterRefund"]],
    [undefined, "lost", ["chargeBackOpened", "chargeBackLost"]],
    ["open", "won", ["chargeBackWonAfterRefund"]],
    ["open", "lost", ["chargeBackLost"]],
    ["won", "won", []],
  ] as const)("known: %s, now: %s, of a payment that was refunded in full [FA5]", (known, now, expected) => {
    expect(hearDispute(known, now, true)).toEqual(expected);
  });

  it.each([
    [undefined, "inquiry", []],
    [undefined, "open", ["chargeBackOpened"]],
    [undefined, "won", ["chargeBackFoundWon", "chargeBackWon"]],
    [undefined, "lost", ["chargeBackOpened", "chargeBackLost"]],
    ["open", "inquiry", []],
    ["open", "open", []],
    ["open", "won", ["chargeBackWon"]],
    ["open", "lost", ["chargeBackLost"]],
    ...(["won", "lost"] as const).flatMap((known) =>
      (["inquiry", "open", "won", "lost"] as const).map((now) => [known, now, []] as const),
    ),
  ] as const)("known: %s, now: %s [FA5]", (known, now, expected) => {
    expect(hearDispute(known, now)).toEqual(expected);
  });
});

describe("why a payment that was released ended", () => {
  it.each([
    ["pending", null, "released"],
    ["presumed", "void", "released"],
    ["authorised", null, "lapsed"],
    ["authorised", "capture", "lapsed"],
    ["authorised", "void", null],
    ["unconfirmed", null, "confirmationExpired"],
    ["unconfirmed", "void", "released"],
  ] as const)("%s, settlement %s: %s", (status, settlement, expected) => {
    expect(nameRelease({ kind: "service", status, settlement })).toBe(expected);
  });
});
