export type PartnerName =
  | "factory"
  | "paymentGateway"
  | "authority"
  | "transport"
  | "vss"
  | "mail"
  | "sms"
  | "push";

/**
 * The partner gave no answer that can be trusted: it was slow, down, or answered nonsense. What it did is unknown,
 * so look it up by our own reference before asking again. Only this kind of error is worth repeating unchanged.
 */
export class PartnerUnavailable extends Error {
  readonly kind = "transient";
  readonly partner: PartnerName;
  readonly reason: string;
  constructor(partner: PartnerName, reason: string, cause?: unknown) {
    super(`${partner}: ${reason}`, { cause });
    this.name = "PartnerUnavailable";
    this.partner = partner;
    this.reason = reason;
  }
}
