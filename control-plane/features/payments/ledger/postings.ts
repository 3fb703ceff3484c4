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

/** Each happens at most once to a payment, or once for each refund and each charge-back of it. */
export const ledgerKinds = [
  "depositReceived",
  "depositEarned",
  "depositForfeited",
  "paymentPresumed",
  "presumptionEnded",
  "holdPlaced",
  "holdReleased",
  "serviceCaptured",
  "paymentRefunded",
  "depositRefunded",
  "chargedBack",
  "depositChargedBack",
  "chargeBackWon",
  "depositChargeBackWon",
] as const;
export type LedgerKind = (typeof ledgerKinds)[number];

export type Posting = { account: LedgerAccount; amountCents: number };

const accountOfMethod = { card: "gatewayClearing", cash: "cashDesk", transfer: "bankAccount" } as const;

/** @param amountCents above zero */
export function postingsOf(
  kind: LedgerKind,
  amountCents: number,
  method: keyof typeof accountOfMethod,
): readonly Posting[] {
  const move = (from: LedgerAccount, to: LedgerAccount): Posting[] => [
    { account: to, amountCents },
    { account: from, amountCents: -amountCents },
  ];
  switch (kind) {
    case "depositReceived":
      return move("customerDeposits", accountOfMethod[method]);
    case "depositEarned":
      return move("vehicleSales", "customerDeposits");
    case "depositForfeited":
      return move("forfeitedReservations", "customerDeposits");
    case "paymentPresumed":
      return move("presumedPaymentsContra", "presumedPayments");
    case "presumptionEnded":
      return move("presumedPayments", "presumedPaymentsContra");
    case "holdPlaced":
      return move("cardHoldsContra", "cardHolds");
    case "holdReleased":
      return move("cardHolds", "cardHoldsContra");
    case "serviceCaptured":
      // The hold turns into money: one effect, one transaction.
      return [...move("serviceRevenue", accountOfMethod[method]), ...move("cardHolds", "cardHoldsContra")];
    case "paymentRefunded":
      return move(accountOfMethod[method], "refunds");
    case "depositRefunded":
    case "depositChargedBack":
      return move(accountOfMethod[method], "customerDeposits");
    case "chargedBack":
      return move(accountOfMethod[method], "chargeBacks");
    case "chargeBackWon":
      return move("chargeBacks", accountOfMethod[method]);
    case "depositChargeBackWon":
      return move("customerDeposits", accountOfMethod[method]);
  }
}
