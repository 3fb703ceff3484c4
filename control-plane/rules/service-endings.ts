import { readDecline } from "./decline-table.ts";
import type { EntitlementState } from "./statuses.ts";

// What a customer reads of a purchase that has ended. The machine's states say how far the activation came; a service
// that was active and is withdrawn stays ServiceActive there.

/** Why a service was withdrawn after the car had proved it, by the reason of its entitlement's end. */
const withdrawnBecause: Readonly<Record<string, string>> = {
  termEnded: "The term that was paid for is over.",
  refunded: "The whole price was given back, so the service was switched off.",
  chargeBack: "The bank took the payment back (charge-back), so the service was switched off.",
  lateDecline: "The bank did not pay after all, so the service was switched off. Nothing was charged.",
  replaced: "Another configuration of the car took its place.",
};

/** Why a service was not delivered, by the reason of the activation's end, or else by its state. */
const notDeliveredBecause: Readonly<Record<string, string>> = {
  customerCancelled: "it was cancelled before the car proved it",
  holdLost: "the bank let the price go before the car proved it",
  holdExpired: "the car did not take it while the bank held the price",
  refunded: "its price went back before the car proved it",
  chargeBack: "its price went back before the car proved it",
  maintenanceOverdue: "its maintenance is overdue; it can be bought again after a visit to a workshop",
  maintenanceUnavailable:
    "the workshops gave no clear answer about its maintenance; it can be bought again when they do",
  confirmationExpired: "its payment was not confirmed at the bank in time",
  ServiceDenied: "its maintenance does not allow it",
  PaymentFailed: "the bank refused the payment",
  NoCharge: "it was not delivered, so what the bank held was let go",
};

type NotDelivered = { state: string; endReason: string | null; declineReason: string | null };

/** Why a service was not delivered, as a clause in which "it" is the service. */
export function whyNotDelivered({ state, endReason, declineReason }: NotDelivered): string {
  if (endReason === "presumptionRefuted")
    return `the bank did not answer, its payment was presumed, and it ${describeRefuted(declineReason)}; so what had begun was taken back`;
  const byReason = notDeliveredBecause[endReason ?? ""];
  if (byReason !== undefined) return byReason;
  if (state === "PaymentFailed" && declineReason !== null && readDecline(declineReason).class !== "refusal")
    return `its payment could not be made, though no bank refused it (${declineReason})`;
  return notDeliveredBecause[state] ?? state;
}

/** What became of a payment that had been presumed. */
export function describeRefuted(declineReason: string | null): string {
  if (declineReason === "neverMade") return "turned out never to have been made";
  const isRefusal = declineReason === null || readDecline(declineReason).class === "refusal";
  return `${isRefusal ? "was then refused" : "could not be made"} (${declineReason})`;
}

/** What became of the price of a service that was not delivered. @param status the payment's; `null`: there was none */
export function describeMoney(status: string | null): string {
  if (status === "captured") return "The price was taken all the same; support gives it back.";
  if (status === "refunded") return "The whole price was given back.";
  if (status === "chargedBack") return "The bank took the price back.";
  return "Nothing was charged.";
}

export type EndedService = {
  state: string;
  /** Of the activation: when it came to its last state, and why. */
  endedAt: Date | null;
  endReason: string | null;
  /** `null`: no payment was begun. */
  payment: { status: string; declineReason: string | null } | null;
  /** `null`: nothing was wanted of the car yet. */
  entitlement: {
    state: EntitlementState;
    endReason: string | null;
    withdrawnAt: Date | null;
    endedAt: Date | null;
    validUntil: Date | null;
  } | null;
};

export type ServiceEnding = { at: Date; reason: string; inWords: string };

/** When and why a purchase ended; `null` while it is on its way, or its service runs. */
export function describeEnding({
  state,
  endedAt,
  endReason,
  payment,
  entitlement,
}: EndedService): ServiceEnding | null {
  if (state !== "ServiceActive") {
    if (endedAt === null) return null;
    const why = whyNotDelivered({ state, endReason, declineReason: payment?.declineReason ?? null });
    const inWords = `${why.charAt(0).toUpperCase()}${why.slice(1)}. ${describeMoney(payment?.status ?? null)}`;
    return { at: endedAt, reason: endReason ?? state, inWords };
  }
  if (entitlement === null || (entitlement.state !== "ending" && entitlement.state !== "ended")) return null;
  const reason = entitlement.endReason ?? "termEnded";
  const isTermOver = reason === "termEnded";
  const at =
    (isTermOver ? entitlement.validUntil : entitlement.withdrawnAt) ?? entitlement.endedAt ?? endedAt;
  if (at === null) return null;
  return { at, reason, inWords: withdrawnBecause[reason] ?? "The service was switched off." };
}
