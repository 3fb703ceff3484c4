import { describeMoney, describeRefuted, whyNotDelivered } from "../../rules/service-endings.ts";

/** What the records say about an activation, its payment and its entitlement. */
export type Case = {
  name: string;
  state: string;
  end_reason: string | null;
  /** Of the payment; null while there is none. */
  status: string | null;
  decline_reason: string | null;
  refunded_cents: number | null;
  /** Of the presumption; null where the bank answered at once. */
  presumption: string | null;
  reconcile_by: Date | null;
  waits: string | null;
  entitlement_end: string | null;
  charged: boolean;
  active: boolean;
};

const underWay: Readonly<Record<string, string>> = {
  ServiceSelected: "The service was selected; its maintenance check begins.",
  MaintenanceCheck: "The workshops are being asked whether maintenance is current.",
  PaymentInitiated: "The bank is being asked to hold the price.",
  OTAQueue: "The price is held; the service waits until the car is online and free.",
  OTAAttempt: "The price is held, and the car is applying the service.",
  RetryQueue: "The car could not apply the service; it is tried again shortly.",
  TechnicalSupport: "The service could not be activated; support has been called.",
  CustomerNotified: "The service could not be activated; the hold on the price is being released.",
};

/** The same while the bank has not answered. */
const underWayPresumed: Readonly<Record<string, string>> = {
  OTAQueue: "the service waits until the car is online and free.",
  OTAAttempt: "the car is applying the service.",
  RetryQueue: "the car could not apply the service; it is tried again shortly.",
  CustomerNotified:
    "the service could not be activated; what the bank may hold is let go as soon as it is known.",
};

/** One sentence for the customer: whether it is active, whether it was charged, and why. */
export function judge(row: Case): string {
  const going = describeUnderWay(row);
  if (going !== undefined)
    return `${going} ${row.charged ? "The price has been taken." : "Nothing has been charged."}`;
  if (row.state === "ServiceActive") return judgeProved(row);
  const why = whyNotDelivered({
    state: row.state,
    endReason: row.end_reason,
    declineReason: row.decline_reason,
  });
  return `${row.name} is not active: ${why}. ${describeMoney(row.status)}`;
}

function describeUnderWay(row: Case): string | undefined {
  if (row.status === "presumed") {
    const going = underWayPresumed[row.state];
    if (going !== undefined)
      return `The bank has not answered yet, so its payment is presumed until ${timeOf(row.reconcile_by)}; ${going}`;
  }
  if (row.state === "PaymentInitiated" && row.status === "unconfirmed")
    return "The bank waits for the customer to confirm the payment.";
  if (row.state === "PaymentInitiated" && row.waits !== null)
    return `The bank has not answered yet, and the payment waits until it does, because ${row.waits}.`;
  return underWay[row.state];
}

function judgeProved(row: Case): string {
  const { name } = row;
  if (row.status === "presumed")
    return `${name} was proved by the car. The bank has not answered yet, so its payment is presumed until ${timeOf(row.reconcile_by)}; nothing has been charged so far.`;
  if (row.status === "chargedBack")
    return `${name} was active and charged; then the bank took the money back (charge-back), so it was withdrawn.`;
  if (row.status === "refunded")
    return `${name} was active and charged; the whole price was given back, so it was withdrawn.`;
  if (row.charged) return judgeCharged(row);
  if (row.entitlement_end !== "lateDecline")
    return `${name} was proved by the car; the payment is being taken.`;
  return row.presumption === "compensated"
    ? `${name} was delivered on a payment that was presumed because the bank did not answer. The payment ${describeRefuted(row.decline_reason)}, so it was withdrawn. Nothing was charged.`
    : `${name} was proved by the car, but the bank then refused to pay, so it was withdrawn. Nothing was charged.`;
}

function judgeCharged(row: Case): string {
  const presumed = row.presumption === null ? "" : " The bank had not answered at first and was presumed.";
  const refunded = row.refunded_cents ? " A part of the price was given back." : "";
  return row.active
    ? `${row.name} is active: the car proved it, and only then the price was charged.${presumed}${refunded}`
    : `${row.name} was active and charged; it has ended (${row.entitlement_end ?? "ended"}).${presumed}${refunded}`;
}

function timeOf(date: Date | null): string {
  return date === null ? "it is known" : date.toISOString();
}
