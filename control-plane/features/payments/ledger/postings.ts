// What each payment effect posts. Debits are positive, credits negative; every list sums to zero.

/**
 * gatewayClearing, cashDesk, bankAccount: money that reached us, by way. customerDeposits: what we owe until the car
 * is handed over. vehicleSales, serviceRevenue, forfeitedReservations: earned. cardHolds and cardHoldsContra: a memo
 * pair, because a hold is no money yet and must still be seen. presumedPayments and presumedPaymentsContra: another, of
 * what was delivered on a payment that nobody has confirmed; its balance is the open exposure. refunds and
 * chargeBacks: what was earned and given back, or taken back by a bank.
 */
export type LedgerAccount =
  | "gatewayClearing"
  | "cashDesk"
  | "bankAccount"
  | "customerDeposits"
  | "vehicleSales"
  | "serviceRevenue"
  | "forfeitedReservations"
  | "cardHolds"
  | "cardHoldsContra"
  | "presumedPayments"
  | "presumedPaymentsContra"
  | "refunds"
  | "chargeBacks";

/** The account of the way in which the customer paid. */
const byMethod = { card: "gatewayClearing", cash: "cashDesk", transfer: "bankAccount" } as const;

/** `asked`: the amount that was asked for, whatever was taken of it. */
type Move = readonly [from: LedgerAccount | "byMethod", to: LedgerAccount | "byMethod", amount?: "asked"];

/** What each effect moves; it happens at most once to a payment, or once for each refund and each charge-back of it. */
// biome-ignore format: one row a line
const moves = {
  //                       from                        to
  depositReceived:      [["customerDeposits",         "byMethod"]],
  depositEarned:        [["vehicleSales",             "customerDeposits"]],
  depositForfeited:     [["forfeitedReservations",    "customerDeposits"]],
  paymentPresumed:      [["presumedPaymentsContra",   "presumedPayments", "asked"]],
  presumptionEnded:     [["presumedPayments",         "presumedPaymentsContra", "asked"]],
  holdPlaced:           [["cardHoldsContra",          "cardHolds", "asked"]],
  holdReleased:         [["cardHolds",                "cardHoldsContra", "asked"]],
  // The hold turns into money, if not all of it: one effect, one transaction.
  serviceCaptured:      [["serviceRevenue",           "byMethod"], ["cardHolds", "cardHoldsContra", "asked"]],
  paymentRefunded:      [["byMethod",                 "refunds"]],
  depositRefunded:      [["byMethod",                 "customerDeposits"]],
  refundFailed:         [["refunds",                  "byMethod"]],
  depositRefundFailed:  [["customerDeposits",         "byMethod"]],
  chargedBack:          [["byMethod",                 "chargeBacks"]],
  depositChargedBack:   [["byMethod",                 "customerDeposits"]],
  chargeBackWon:        [["chargeBacks",              "byMethod"]],
  depositChargeBackWon: [["customerDeposits",         "byMethod"]],
} as const satisfies Record<string, readonly Move[]>;

export type LedgerKind = keyof typeof moves;
export const ledgerKinds = Object.keys(moves).filter((kind): kind is LedgerKind =>
  Object.hasOwn(moves, kind),
);

export type Posting = { account: LedgerAccount; amountCents: number };

/**
 * @param amountCents what was paid, or the part of it that goes back; above zero
 * @param askedCents of the payment
 */
export function postingsOf(
  kind: LedgerKind,
  amountCents: number,
  method: keyof typeof byMethod,
  askedCents = amountCents,
): readonly Posting[] {
  const name = (account: Move[0]) => (account === "byMethod" ? byMethod[method] : account);
  return moves[kind].flatMap(([from, to, amount]: Move) => {
    const cents = amount === "asked" ? askedCents : amountCents;
    return [
      { account: name(to), amountCents: cents },
      { account: name(from), amountCents: -cents },
    ];
  });
}
