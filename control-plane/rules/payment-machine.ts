// The third machine: what becomes of a payment. A payment is in a status, and a hold has a settlement besides: whether
// it is to be taken or let go, decided once, under the payment's lock, before the gateway is asked.
//
// features/payments/hear.ts is the interpreter: it decides by these rows, writes the payments and their postings, and
// carries the effects out.

export const paymentKinds = ["reservation", "final", "service"] as const;
export type PaymentKind = (typeof paymentKinds)[number];

export const paymentStatuses = [
  "pending",
  /** Not answered, and treated as successful for now. */
  "presumed",
  /** The customer's bank waits for the customer to confirm (3-D Secure): neither refused nor paid. */
  "unconfirmed",
  "authorised",
  "captured",
  "declined",
  "voided",
  "refunded",
  /** Cash or a transfer, as staff took it. */
  "recorded",
  /** The same above the limit, until a second person has looked at it. */
  "unchecked",
  "chargedBack",
] as const;
export type PaymentStatus = (typeof paymentStatuses)[number];

/** Of a hold: taken on the car's proof, or let go; `null`: not decided yet. */
export const paymentSettlements = ["capture", "void", null] as const;
export type PaymentSettlement = (typeof paymentSettlements)[number];

export type PaymentState = {
  kind: PaymentKind;
  /** "start": there is no payment yet. */
  status: PaymentStatus | "start";
  settlement: PaymentSettlement;
};

/** How the gateway says that a payment stands. `failedForNow`: not made, and nobody said no. */
const answers = [
  "held",
  "captured",
  "declined",
  "released",
  "invalid",
  "unconfirmed",
  "failedForNow",
] as const;
/** No money, and none to come. `invalid`: the bank has refused nothing, the request cannot be carried out. */
const refusals = ["declined", "released", "invalid"] as const;

export const paymentHeard = [
  "requested",
  "recordedByStaff",
  "recordedForCheck",
  "checkPassed",
  "checkFailed",
  ...answers,
  // Another amount than the price.
  "capturedOtherAmount",
  // The gateway speaks of another payment than ours: its reference, amount or currency differ.
  "mismatched",
  // The gateway did not answer, and the presumption policy decided.
  "presumed",
  "waits",
  "captureAsked",
  "releaseAsked",
  "chargeBackOpened",
  "chargeBackFoundWon",
  "chargeBackWon",
  // The same, where all of it has been given back besides.
  "chargeBackWonAfterRefund",
  "chargeBackLost",
  "refundAsked",
  "refundedInPart",
  "refundedInFull",
  "refundRefused",
  // It was made, and came back: the customer's bank did not take it.
  "refundFailed",
] as const;
export type PaymentHeard = (typeof paymentHeard)[number];

/**
 * Everything a row may cause, each in the transaction that moves the payment. Where several payments are heard of
 * together, each effect is carried out for all of them, in this order: exposure is locked before cars.
 */
export const paymentEffects = [
  "settleCapture",
  "settleVoid",
  // Opens the presumption: its row, its memo in the ledger, its next look-up. The other three close it.
  "presume",
  "confirmPresumption",
  "compensatePresumption",
  "dropPresumption",
  // The customer gets the bank's link, a time until which to confirm, and a reminder.
  "askConfirmation",
  // Notes the rule for which the payment waits; once for each rule, `tellAwaited` included.
  "recordWaiting",
  // Postings to the ledger, each at most once for a payment.
  "postDeposit",
  "postHold",
  "postRelease",
  "postCapture",
  // Of a deposit we still owe, or of what is earned already. Once for each refund.
  "postRefund",
  // The same taken back.
  "postRefundFailed",
  // A charge-back's row, its posting, and a task: answer the bank.
  "openChargeBack",
  // The same, ended for us: a task asks what the customer is owed.
  "winChargeBack",
  "loseChargeBack",
  // The amount is set aside, so that no two refunds give back more than was paid, and a job asks the gateway.
  "startRefund",
  // Nothing is set aside any more, and support hears of it.
  "giveUpRefund",
  // Tasks for people. The customer does not have the money that we said was given back.
  "reportRefundFailed",
  // By a refund and by a charge-back: the bank is shown the refund.
  "reportGivenBackTwice",
  // Money was taken where we had said that none would be: support gives it back.
  "reportContradiction",
  // Another amount than the price was taken.
  "reportOtherAmount",
  // What the gateway says is about another payment: nothing is booked.
  "reportMismatch",
  // A proved service that nobody paid: support hears of it, and the service is withdrawn.
  "reportUnpaid",
  "logTooLate",
  // Domain events, each to the activation.
  "tellAuthorised",
  "tellPresumed",
  "tellAwaited",
  "tellConfirmed",
  "tellRefuted",
  "tellDeclined",
  // The customer hears of it too (NT5).
  "tellCaptured",
  "tellVoided",
  // The hold is gone before the car's proof: what is on its way to the car is taken back.
  "tellHoldGone",
  "tellChargedBack",
  "tellChargeBackClosed",
  "tellRefunded",
  "tellRefundFailed",
  // Steps of the sale: the customer is told (NT5), and the sale goes on.
  "recordReservationPaid",
  "recordFinalPaid",
  // A step that says that no money came; the sale stays as it is.
  "recordNotMade",
  // A task: another member of staff looks at what was recorded.
  "askSecondLook",
  // The terms of the final payment decide: another try, or the car and the reservation are lost.
  "judgeFinalRefusal",
  // A job asks the gateway.
  "askForMoney",
  "askCapture",
  "askRelease",
  // A hold that was found after its payment had ended is let go.
  "askReleaseStray",
  // The job that asked goes on and has the gateway take the hold, or let it go.
  "mayCapture",
  "mayRelease",
] as const;
export type PaymentEffect = (typeof paymentEffects)[number];

type KindPattern = PaymentKind | "sale" | "any";
type StatusPattern = PaymentState["status"] | readonly PaymentStatus[];
type SettlementPattern = "none" | "capture" | "void" | "notVoid" | "notCapture" | "any";

/**
 * `next`: a status; "same": it stays; "refused": the caller is told `why`; "never": a defect or a broken promise of the
 * gateway, so nothing is kept. A state without a row cannot be reached, and counts as "never".
 */
export type PaymentRow = readonly [
  kind: KindPattern,
  status: StatusPattern,
  settlement: SettlementPattern,
  heard: PaymentHeard | readonly PaymentHeard[],
  next: PaymentStatus | "same" | "refused" | "never",
  effects: readonly PaymentEffect[],
  why?: string,
];

/** The bank's last word is still to come. */
export const undecidedStatuses = ["pending", "presumed", "unconfirmed", "authorised"] as const;
/** The money is with us, and nobody has taken it back. */
export const paidStatuses = ["captured", "recorded"] as const;
/** Under way or paid: a sale has at most one payment of a kind in one of these. */
export const liveStatuses = [
  "pending",
  "unconfirmed",
  "authorised",
  "captured",
  "recorded",
  "unchecked",
] as const;

const asking = ["pending", "presumed"] as const;
const begun = ["pending", "unconfirmed"] as const;
/** Known to the gateway, and not ended: it can be let go. */
const standing = ["unconfirmed", "authorised"] as const;
const ended = ["declined", "voided"] as const;
const taken = ["captured", "refunded", "recorded", "chargedBack"] as const;
const unpaid = ["declined", "voided", "refunded", "chargedBack"] as const;
const givenBack = ["refunded", "chargedBack"] as const;
const every = paymentStatuses;
const notPending = every.filter((status) => status !== "pending");
const notUnconfirmed = every.filter((status) => status !== "unconfirmed");
const notCaptured = every.filter((status) => status !== "captured");
const notRefunded = every.filter((status) => status !== "refunded");
/** What no refund in full changes, nor makes a contradiction of. */
const notTaken = notCaptured.filter((status) => status !== "chargedBack");
const captures = ["captured", "capturedOtherAmount"] as const;
const unanswered = ["presumed", "waits"] as const;
const checks = ["checkPassed", "checkFailed"] as const;
const checked = every.filter((status) => status !== "unchecked");
/** All but `failedForNow`, which has rows of its own. */
const settledAnswers = ["held", "captured", ...refusals, "unconfirmed"] as const;
const bankRefused = ["declined", "released"] as const;
const holdRefused = ["declined", "invalid"] as const;

// biome-ignore format: one row a line
export const paymentRows: readonly PaymentRow[] = [
// kind           status        settlement    heard                 next           effects, and why

  // It begins.
  ["any",         "start",      "none",       "requested",          "pending",     ["askForMoney"]],
  ["reservation", "start",      "none",       "recordedByStaff",    "recorded",    ["postDeposit", "recordReservationPaid"], "no bank is asked"],
  ["final",       "start",      "none",       "recordedByStaff",    "recorded",    ["postDeposit", "recordFinalPaid"], "no bank is asked"],

  // Above a limit a second person looks at what staff recorded.
  ["sale",        "start",      "none",       "recordedForCheck",   "unchecked",   ["askSecondLook"]],
  ["reservation", "unchecked",  "none",       "checkPassed",        "recorded",    ["postDeposit", "recordReservationPaid"]],
  ["final",       "unchecked",  "none",       "checkPassed",        "recorded",    ["postDeposit", "recordFinalPaid"]],
  ["sale",        "unchecked",  "none",       "checkFailed",        "declined",    ["recordNotMade"], "no bank was asked: no refusal"],
  ["any",         checked,      "any",        checks,               "refused",     [], "this payment is {status}: there is nothing to look at"],

  // The first answer.
  ["service",     begun,        "notVoid",    "held",               "authorised",  ["postHold", "tellAuthorised"]],
  ["service",     begun,        "void",       "held",               "authorised",  ["postHold", "askRelease"], "given up meanwhile"],
  ["service",     begun,        "notVoid",    "captured",           "captured",    ["postHold", "postCapture", "tellCaptured"], "the memo pair ends at zero"],
  ["service",     begun,        "notVoid",    "capturedOtherAmount", "captured",   ["postHold", "postCapture", "reportOtherAmount", "tellCaptured"]],
  ["service",     begun,        "void",       captures,             "captured",    ["postHold", "postCapture", "reportContradiction", "tellCaptured"], "given up meanwhile"],
  ["service",     begun,        "notVoid",    refusals,             "declined",    ["tellDeclined"]],
  ["service",     begun,        "void",       refusals,             "voided",      ["tellVoided"], "given up meanwhile: nothing is held"],
  ["sale",        "pending",    "none",       "held",               "never",       [], "a sale's payment is charged, never held"],
  ["reservation", begun,        "none",       "captured",           "captured",    ["postDeposit", "recordReservationPaid"]],
  ["final",       begun,        "none",       "captured",           "captured",    ["postDeposit", "recordFinalPaid"]],
  ["reservation", begun,        "none",       refusals,             "declined",    ["recordNotMade"], "the sale stays, and the customer may try again"],
  ["final",       begun,        "none",       bankRefused,          "declined",    ["judgeFinalRefusal"]],
  ["final",       begun,        "none",       "invalid",            "declined",    ["recordNotMade"], "mistyped, the bank was not asked: no car is lost"],

  // The bank wants the customer to confirm.
  ["any",         "pending",    "notVoid",    "unconfirmed",        "unconfirmed", ["askConfirmation"]],
  ["service",     "pending",    "void",       "unconfirmed",        "voided",      ["tellVoided", "askReleaseStray"], "given up meanwhile: nothing is held"],
  ["any",         "unconfirmed", "any",       "unconfirmed",        "same",        [], "known already"],
  ["service",     "presumed",   "notVoid",    "unconfirmed",        "declined",    ["compensatePresumption", "tellRefuted", "askReleaseStray"], "no money is held: the service is taken back"],
  ["service",     "presumed",   "void",       "unconfirmed",        "voided",      ["dropPresumption", "tellVoided", "askReleaseStray"], "given up meanwhile"],
  ["service",     "authorised", "any",        "unconfirmed",        "same",        [], "an older word: it is confirmed already"],

  // Nobody said no.
  ["any",         "unconfirmed", "notVoid",   "failedForNow",       "pending",     ["askForMoney"], "confirmed, and not made yet: the job tries again"],
  ["service",     "unconfirmed", "void",      "failedForNow",       "voided",      ["tellVoided"], "given up meanwhile: nothing is held"],
  ["any",         notUnconfirmed, "any",      "failedForNow",       "same",        [], "the job that asked tries again"],

  // No answer.
  ["service",     "pending",    "notVoid",    "presumed",           "presumed",    ["presume", "tellPresumed"]],
  ["service",     "pending",    "void",       "presumed",           "never",       [], "what was given up is never presumed (PP2)"],
  ["sale",        "pending",    "none",       "presumed",           "never",       [], "only a service's payment is presumed (PP1)"],
  ["service",     "pending",    "notVoid",    "waits",              "same",        ["recordWaiting", "tellAwaited"]],
  ["service",     "pending",    "void",       "waits",              "same",        ["recordWaiting"], "nobody waits for what was given up"],
  ["sale",        "pending",    "none",       "waits",              "same",        ["recordWaiting"], "the sale waits for certainty anyway"],
  ["any",         notPending,   "any",        unanswered,           "same",        [], "a look-up was quicker than the time-out"],

  // What was presumed is found out.
  ["service",     "presumed",   "none",       "held",               "authorised",  ["confirmPresumption", "postHold", "tellConfirmed"]],
  ["service",     "presumed",   "capture",    "held",               "authorised",  ["confirmPresumption", "postHold", "tellConfirmed", "askCapture"], "proved"],
  ["service",     "presumed",   "void",       "held",               "authorised",  ["confirmPresumption", "postHold", "askRelease"], "given up meanwhile"],
  ["service",     "presumed",   "notVoid",    "captured",           "captured",    ["confirmPresumption", "postHold", "postCapture", "tellCaptured"]],
  ["service",     "presumed",   "notVoid",    "capturedOtherAmount", "captured",   ["confirmPresumption", "postHold", "postCapture", "reportOtherAmount", "tellCaptured"]],
  ["service",     "presumed",   "void",       captures,             "captured",    ["confirmPresumption", "postHold", "postCapture", "reportContradiction", "tellCaptured"], "given up meanwhile"],
  ["service",     "presumed",   "notVoid",    refusals,             "declined",    ["compensatePresumption", "tellRefuted"], "the service is taken back"],
  ["service",     "presumed",   "void",       refusals,             "voided",      ["dropPresumption", "tellVoided"], "given up meanwhile"],

  // The hold ends.
  ["service",     "authorised", "any",        "held",               "same",        [], "the hold stands, as we knew"],
  ["service",     "authorised", "notVoid",    "captured",           "captured",    ["postCapture", "tellCaptured"]],
  ["service",     "authorised", "notVoid",    "capturedOtherAmount", "captured",   ["postCapture", "reportOtherAmount", "tellCaptured"], "the books say what was taken"],
  ["service",     "authorised", "void",       captures,             "captured",    ["postCapture", "reportContradiction", "tellCaptured"], "it was let go"],
  ["service",     "authorised", "none",       "released",           "voided",      ["postRelease", "tellHoldGone"], "lapsed, or let go at the gateway: nothing is delivered without it"],
  ["service",     "authorised", "capture",    "released",           "voided",      ["postRelease", "reportUnpaid"], "lapsed after the car's proof"],
  ["service",     "authorised", "void",       "released",           "voided",      ["postRelease", "tellVoided"]],
  ["service",     "authorised", "none",       holdRefused,          "declined",    ["postRelease", "tellHoldGone"], "no proof yet: nothing is owed, and nothing is delivered"],
  ["service",     "authorised", "void",       holdRefused,          "declined",    ["postRelease", "tellVoided"], "given up meanwhile"],
  ["service",     "authorised", "capture",    holdRefused,          "declined",    ["postRelease", "reportUnpaid", "askReleaseStray"], "a late decline, after the car's proof: the customer must not wait a week for what is still held"],

  // It has ended.
  ["any",         ended,        "any",        ["held", "unconfirmed"], "same",     ["askReleaseStray"], "a hold that nobody knows would stand for a week"],
  ["any",         ended,        "any",        captures,             "same",        ["reportContradiction"]],
  ["any",         ended,        "any",        refusals,             "same",        [], "known already"],
  ["any",         taken,        "any",        settledAnswers,       "same",        [], "known already; refunds and charge-backs are asked about by themselves"],
  ["any",         taken,        "any",        "capturedOtherAmount", "same",       [], "known already"],

  // It is another payment than ours.
  ["any",         every,        "any",        "mismatched",         "same",        ["reportMismatch"], "it moves no money"],

  // The car has proved the service.
  ["service",     begun,        "notVoid",    "captureAsked",       "never",       [], "proved before it is held"],
  ["service",     "presumed",   "none",       "captureAsked",       "same",        ["settleCapture"], "taken when the hold is found"],
  ["service",     "presumed",   "capture",    "captureAsked",       "same",        [], "decided already: taken when the hold is found"],
  ["service",     "authorised", "none",       "captureAsked",       "same",        ["settleCapture", "mayCapture"]],
  ["service",     "authorised", "capture",    "captureAsked",       "same",        ["mayCapture"], "another try: the gateway takes it once"],
  ["service",     "captured",   "any",        "captureAsked",       "same",        [], "taken already"],
  ["service",     unpaid,       "none",       "captureAsked",       "same",        ["settleCapture", "reportUnpaid"], "the money is gone already"],
  ["service",     unpaid,       "capture",    "captureAsked",       "same",        [], "reported already"],
  ["service",     notCaptured,  "void",       "captureAsked",       "same",        ["logTooLate"], "let go first: a later proof charges nobody"],

  // Nothing will be delivered.
  ["service",     asking,       "none",       "releaseAsked",       "same",        ["settleVoid"], "the bank is being asked: its answer finds the decision"],
  ["service",     asking,       "void",       "releaseAsked",       "same",        [], "decided already: the bank's answer finds it"],
  ["service",     standing,     "none",       "releaseAsked",       "same",        ["settleVoid", "mayRelease"]],
  ["service",     standing,     "void",       "releaseAsked",       "same",        ["mayRelease"], "another try: the gateway lets it go once"],
  ["service",     ended,        "none",       "releaseAsked",       "same",        ["settleVoid", "tellVoided"], "nothing is held"],
  ["service",     ended,        "void",       "releaseAsked",       "same",        ["tellVoided"], "nothing is held"],
  ["service",     "captured",   "none",       "releaseAsked",       "same",        ["settleVoid", "reportContradiction"], "taken by hand at the gateway: it has to be given back"],
  ["service",     "captured",   "void",       "releaseAsked",       "same",        [], "reported already"],
  ["service",     givenBack,    "none",       "releaseAsked",       "same",        ["settleVoid", "tellVoided"], "the money has gone back"],
  ["service",     givenBack,    "void",       "releaseAsked",       "same",        ["tellVoided"], "the money has gone back"],
  ["service",     every,        "capture",    "releaseAsked",       "same",        ["logTooLate"], "to be taken: the car has proved the service"],

  // The customer's bank takes it back (FA5).
  ["service",     every,        "any",        "chargeBackOpened",   "chargedBack", ["openChargeBack", "tellChargedBack"]],
  ["sale",        every,        "any",        "chargeBackOpened",   "chargedBack", ["openChargeBack"]],
  ["any",         every,        "any",        "chargeBackFoundWon", "chargedBack", ["openChargeBack"], "the money is back already, so nothing is withdrawn"],
  ["service",     every,        "any",        "chargeBackWon",      "captured",    ["winChargeBack", "tellChargeBackClosed"]],
  ["sale",        every,        "any",        "chargeBackWon",      "captured",    ["winChargeBack"]],
  ["service",     every,        "any",        "chargeBackWonAfterRefund", "refunded", ["winChargeBack", "tellChargeBackClosed"], "the bank gives it back to us; the customer has it already"],
  ["sale",        every,        "any",        "chargeBackWonAfterRefund", "refunded", ["winChargeBack"]],
  ["service",     every,        "any",        "chargeBackLost",     "same",        ["loseChargeBack", "tellChargeBackClosed"]],
  ["sale",        every,        "any",        "chargeBackLost",     "same",        ["loseChargeBack"]],

  // We give it back.
  ["service",     "captured",   "any",        "refundAsked",        "same",        ["startRefund"]],
  ["service",     notCaptured,  "any",        "refundAsked",        "refused",     [], "this payment is {status}: there is nothing to give back"],
  ["sale",        every,        "any",        "refundAsked",        "refused",     [], "reservation and final payment are settled with the sale, not refunded"],
  ["service",     every,        "any",        "refundedInPart",     "same",        ["postRefund", "tellRefunded"]],
  ["service",     "captured",   "notVoid",    "refundedInFull",     "refunded",    ["postRefund", "tellRefunded"]],
  ["service",     "captured",   "void",       "refundedInFull",     "refunded",    ["postRefund", "tellVoided", "tellRefunded"], "given up: now nothing is charged"],
  ["service",     "chargedBack", "any",       "refundedInFull",     "same",        ["postRefund", "reportGivenBackTwice", "tellRefunded"], "a charge-back stays one until the bank decides"],
  ["service",     notTaken,     "any",        "refundedInFull",     "same",        ["postRefund", "tellRefunded"]],
  ["sale",        every,        "any",        "refundedInPart",     "same",        ["postRefund"], "in the gateway's own screens"],
  ["sale",        "captured",   "any",        "refundedInFull",     "refunded",    ["postRefund"], "in the gateway's own screens"],
  ["sale",        "chargedBack", "any",       "refundedInFull",     "same",        ["postRefund", "reportGivenBackTwice"], "a charge-back stays one until the bank decides"],
  ["sale",        notTaken,     "any",        "refundedInFull",     "same",        ["postRefund"]],
  ["any",         every,        "any",        "refundRefused",      "same",        ["giveUpRefund"]],
  ["service",     "refunded",   "any",        "refundFailed",       "captured",    ["postRefundFailed", "reportRefundFailed", "tellRefundFailed"], "the money is with us again"],
  ["service",     notRefunded,  "any",        "refundFailed",       "same",        ["postRefundFailed", "reportRefundFailed", "tellRefundFailed"]],
  ["sale",        "refunded",   "any",        "refundFailed",       "captured",    ["postRefundFailed", "reportRefundFailed"], "the money is with us again"],
  ["sale",        notRefunded,  "any",        "refundFailed",       "same",        ["postRefundFailed", "reportRefundFailed"]],
];

export type PaymentDecision<Status = PaymentState["status"]> =
  | {
      kind: "decided";
      status: Status | PaymentStatus;
      settlement: PaymentSettlement;
      effects: readonly PaymentEffect[];
    }
  | { kind: "refused"; message: string };

/**
 * What a payment becomes when something is heard of it, and what follows. Pure; `effects` are carried out in order.
 * @throws Error for what cannot happen: nothing of the transaction may be kept
 */
export function decidePayment<Status extends PaymentState["status"]>(
  payment: PaymentState & { status: Status },
  heard: PaymentHeard,
): PaymentDecision<Status> {
  const row = findRow(payment, heard);
  const [, , , , next, effects, why = ""] = row ?? noRow;
  if (next === "never")
    throw new Error(
      `a ${payment.kind} payment that is ${describe(payment)} cannot hear ${heard}${why === "" ? "" : `: ${why}`}`,
    );
  if (next === "refused") return { kind: "refused", message: why.replace("{status}", payment.status) };
  return {
    kind: "decided",
    status: next === "same" ? payment.status : next,
    settlement: effects.includes("settleCapture")
      ? "capture"
      : effects.includes("settleVoid")
        ? "void"
        : payment.settlement,
    effects,
  };
}

/** The same for what must be possible here: a request is decided before it is heard. @throws Error for a refusal */
export function mustDecidePayment<Status extends PaymentState["status"]>(
  payment: PaymentState & { status: Status },
  heard: PaymentHeard,
): Extract<PaymentDecision<Status>, { kind: "decided" }> {
  const decision = decidePayment(payment, heard);
  if (decision.kind === "refused") throw new Error(decision.message);
  return decision;
}

/** Whether `heard` would change anything: a message of the gateway that would not is not asked about. */
export function isNews(payment: PaymentState, heard: PaymentHeard): boolean {
  const [, , , , next, effects] = findRow(payment, heard) ?? noRow;
  return next !== "same" || effects.length > 0;
}

/** Whether any answer of the gateway could still change this payment. */
export function isWorthLookingUp(payment: PaymentState): boolean {
  return answers.some((answer) => isNews(payment, answer));
}

/**
 * Why a payment ended that the gateway calls released: by us (`null`), by time, before it was a hold, or because the
 * customer did not confirm it in time.
 */
export function nameRelease({
  status,
  settlement,
}: PaymentState): "released" | "lapsed" | "confirmationExpired" | null {
  if (status === "unconfirmed") return settlement === "void" ? "released" : "confirmationExpired";
  if (status !== "authorised") return "released";
  return settlement === "void" ? null : "lapsed";
}

/** What the gateway says of a payment's identity, beside how it stands. Amounts are integer cents. */
export type GatewayRecord = {
  reference: string | null;
  /** Noted beside the reference: it still tells whose it is where somebody has changed the reference. */
  activationId: string | null;
  amountCents: number;
  currency: string;
};

/**
 * Where the gateway's record is not of the payment that we made; `null` where it is.
 *
 * @param takenCents `null`: nothing is taken. Of the hold that we know, another amount may have been taken; of a
 *   payment that is charged at once, never
 */
export function findMismatch(
  ours: {
    id: string;
    activationId: string | null;
    kind: PaymentKind;
    amountCents: number;
    currency: string;
    isKnown: boolean;
  },
  theirs: GatewayRecord,
  takenCents: number | null,
): "reference" | "currency" | "amount" | null {
  const isOfActivation = ours.activationId !== null && theirs.activationId === ours.activationId;
  if (theirs.reference !== ours.id && !isOfActivation) return "reference";
  if (theirs.currency !== ours.currency) return "currency";
  if (
    takenCents !== null &&
    (takenCents <= 0 || (ours.kind !== "service" && takenCents !== ours.amountCents))
  )
    return "amount";
  // A gateway that takes more than was held raises the amount of its record, too.
  const mayDiffer = ours.isKnown && takenCents !== null && ours.kind === "service";
  return theirs.amountCents !== ours.amountCents && !mayDiffer ? "amount" : null;
}

type DisputeStatus = "open" | "won" | "lost";
type DisputeHeard = Extract<PaymentHeard, `chargeBack${string}`>;

/** What a payment hears when the gateway says how a dispute stands, by what was known of it: nothing is heard twice. */
// biome-ignore format: one row a line
const disputeNews = {
  // An inquiry moves no money, and what was closed stays closed.
  unknown: { inquiry: [], open: ["chargeBackOpened"], won: ["chargeBackFoundWon", "chargeBackWon"], lost: ["chargeBackOpened", "chargeBackLost"] },
  open:    { inquiry: [], open: [],                   won: ["chargeBackWon"],                       lost: ["chargeBackLost"] },
  won:     { inquiry: [], open: [],                   won: [],                                      lost: [] },
  lost:    { inquiry: [], open: [],                   won: [],                                      lost: [] },
} as const satisfies Record<"unknown" | DisputeStatus, Record<"inquiry" | DisputeStatus, readonly DisputeHeard[]>>;

/** @param isRefunded all of the payment has been given back besides */
export function hearDispute(
  known: DisputeStatus | undefined,
  now: "inquiry" | DisputeStatus,
  isRefunded = false,
): readonly DisputeHeard[] {
  const heard: readonly DisputeHeard[] = disputeNews[known ?? "unknown"][now];
  return isRefunded
    ? heard.map((one) => (one === "chargeBackWon" ? "chargeBackWonAfterRefund" : one))
    : heard;
}

const noRow: PaymentRow = ["any", [], "any", [], "never", []];

function findRow(payment: PaymentState, heard: PaymentHeard): PaymentRow | undefined {
  return paymentRows.find((row) => fits(row, payment, heard));
}

/** Whether a row is about this payment hearing this. Exactly one row is, for each state that can be reached. */
export function fits(
  [kind, status, settlement, hears]: PaymentRow,
  payment: PaymentState,
  heard: PaymentHeard,
): boolean {
  return (
    includes(hears, heard) &&
    includes(status, payment.status) &&
    (kind === "any" || kind === payment.kind || (kind === "sale" && payment.kind !== "service")) &&
    fitsSettlement(settlement, payment.settlement)
  );
}

function fitsSettlement(pattern: SettlementPattern, settlement: PaymentSettlement): boolean {
  switch (pattern) {
    case "any":
      return true;
    case "none":
      return settlement === null;
    case "notVoid":
      return settlement !== "void";
    case "notCapture":
      return settlement !== "capture";
    case "capture":
    case "void":
      return settlement === pattern;
  }
}

function includes(pattern: string | readonly string[], value: string): boolean {
  return typeof pattern === "string" ? pattern === value : pattern.includes(value);
}

function describe({ status, settlement }: PaymentState): string {
  return settlement === null ? status : `${status}, ${settlement}`;
}
