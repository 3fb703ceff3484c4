const dayMs = 86_400_000;

/**
 * When a refund that was made is looked up again, days after it: a customer's bank may send it back for a month, and
 * the gateway's message about it may be lost.
 */
export const refundLookUpDays = [1, 3, 7, 14, 30] as const;

/** Business times, epoch ms; `null`: no bank sends it back any more. */
export function planRefundLookUp(madeAtMs: number, nowMs: number): number | null {
  const due = refundLookUpDays.map((days) => madeAtMs + days * dayMs);
  return due.find((atMs) => atMs > nowMs) ?? null;
}
