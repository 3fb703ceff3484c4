import type { EntitlementState } from "./statuses.ts";

// What a customer reads of a purchase that has ended. The machine's states say how far the activation came; a service
// that was active and is withdrawn stays ServiceActive there.

/** By the reason recorded with the entitlement, or with the activation where nothing was delivered. */
export const serviceEndings: Readonly<Record<string, string>> = {
  termEnded: "The term that was paid for is over.",
  refunded: "The whole price was given back, so the service was switched off.",
  chargeBack: "The bank took the payment back (charge-back), so the service was switched off.",
  lateDecline: "The bank did not pay after all, so the service was switched off. Nothing was charged.",
  replaced: "Another configuration of the car took its place.",
  customerCancelled: "It was cancelled before the car had proved it. Nothing was delivered.",
  presumptionRefuted:
    "The bank had not answered, and its payment turned out not to exist. Nothing was charged.",
  holdLost:
    "The bank no longer holds the price, and the car had not proved the service. Nothing was charged.",
  holdExpired: "The car did not take the service while the bank held the price. Nothing was charged.",
  maintenanceOverdue: "The car's maintenance is overdue. Nothing was charged.",
  maintenanceUnavailable: "The workshops did not confirm the car's maintenance. Nothing was charged.",
};

const neverDelivered: Readonly<Record<string, string>> = {
  ServiceDenied: "The car's maintenance does not allow it. Nothing was charged.",
  PaymentFailed: "The bank refused the payment. Nothing was charged.",
  NoCharge: "The car could not apply it. Nothing was charged.",
};

export type EndedService = {
  state: string;
  /** Of the activation: when it came to its last state, and why. */
  endedAt: Date | null;
  endReason: string | null;
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
  entitlement,
}: EndedService): ServiceEnding | null {
  if (state !== "ServiceActive") {
    if (endedAt === null) return null;
    const reason = endReason ?? state;
    const inWords = serviceEndings[reason] ?? neverDelivered[state] ?? "It was not delivered.";
    return { at: endedAt, reason, inWords };
  }
  if (entitlement === null || (entitlement.state !== "ending" && entitlement.state !== "ended")) return null;
  const reason = entitlement.endReason ?? "termEnded";
  const isTermOver = reason === "termEnded";
  const at =
    (isTermOver ? entitlement.validUntil : entitlement.withdrawnAt) ?? entitlement.endedAt ?? endedAt;
  if (at === null) return null;
  return { at, reason, inWords: serviceEndings[reason] ?? "The service was switched off." };
}
