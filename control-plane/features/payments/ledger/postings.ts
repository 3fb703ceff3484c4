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

type Move = readonly [from: LedgerAccount | "byMethod", to: LedgerAccount | "byMethod"];

/** What each effect moves; it happens at most once to a payment, or once for each refund and each charge-back of it. */
// biome-ignore format: one row a line
const moves = {
  //                       from                        to
  depositReceived:      [["customerDeposits",         "byMethod"]],
  depositEarned:        [["vehicleSales",             "customerDeposits"]],
  depositForfeited:     [["forfeitedReservations",    "customerDeposits"]],
  paymentPresumed:      [["presumedPaymentsContra",   "presumedPayments"]],
  presumptionEnded:     [["presumedPayments",         "presumedPaymentsContra"]],
  holdPlaced:           [["cardHoldsContra",          "cardHolds"]],
  holdReleased:         [["cardHolds",                "cardHoldsContra"]],
  // The hold turns into money: one effect, one transaction.
  serviceCaptured:      [["serviceRevenue",           "byMethod"], ["cardHolds", "cardHoldsContra"]],
  paymentRefunded:      [["byMethod",                 "refunds"]],
  depositRefunded:      [["byMethod",                 "customerDeposits"]],
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

/** @param amountCents above zero */
export function postingsOf(
  kind: LedgerKind,
  amountCents: number,
  method: keyof typeof byMethod,
): readonly Posting[] {
  const name = (account: Move[number]) => (account === "byMethod" ? byMethod[method] : account);
  return moves[kind].flatMap(([from, to]: Move) => [
    { account: name(to), amountCents },
    { account: name(from), amountCents: -amountCents },
  ]);
}
