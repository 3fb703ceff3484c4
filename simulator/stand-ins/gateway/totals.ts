import type { Books } from "./books.ts";

/** What the gateway did for one reference of the platform, minor units: the auditors' side of the books. */
export type ReferenceTotals = {
  /** `metadata.reference` of the intents; `null` for intents without one. */
  reference: string | null;
  currency: string;
  intents: number;
  declines: number;
  heldCents: number;
  capturedCents: number;
  refundedCents: number;
  /** Taken back by a bank and not given up again. */
  disputedCents: number;
};

export function totalByReference(books: Books): ReferenceTotals[] {
  const totals = new Map<string, ReferenceTotals>();
  for (const intent of books.settleHolds(books.intents.list())) {
    const reference = intent.metadata.reference ?? null;
    const key = JSON.stringify([reference, intent.currency]);
    const total = totals.get(key) ?? {
      reference,
      currency: intent.currency,
      intents: 0,
      declines: 0,
      heldCents: 0,
      capturedCents: 0,
      refundedCents: 0,
      disputedCents: 0,
    };
    total.intents += 1;
    total.heldCents += intent.amount_capturable;
    for (const charge of books.charges.find("intent", intent.id)) {
      if (charge.status === "failed") total.declines += 1;
      total.capturedCents += charge.amount_captured;
      total.refundedCents += charge.amount_refunded;
    }
    for (const dispute of books.disputes.find("intent", intent.id))
      if (dispute.status !== "won") total.disputedCents += dispute.amount;
    totals.set(key, total);
  }
  return [...totals.values()];
}
