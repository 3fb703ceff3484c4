import { timingSafeEqual } from "node:crypto";
import type { Clock } from "@caas/contract/business-clock.ts";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import * as z from "zod";

export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** `id` is the sender's id of the message: the same id is the same message. `null`: it has none. */
export type Verified = { kind: "genuine"; id: string | null } | { kind: "forged"; reason: string };

/** Judges the exact bytes that were sent, before they are parsed. */
export type VerifyWebhook = (headers: Headers, rawBody: string) => Verified;

/** At most two: the one in use and the one it replaces, while a sender changes over. */
export type WebhookSecrets = readonly [string] | readonly [string, string];

/** How long a captured message may be replayed (Standard Webhooks 1.0, "Verifying timestamp"; Stripe's default). */
const toleranceSeconds = 300;

/**
 * Standard Webhooks 1.0, symmetric signatures (`v1,`).
 *
 * @param secrets base64, with or without the `whsec_` prefix
 * @param clock real time: the sender signs with its own clock, not with business time
 * @throws when a secret is not base64.
 */
export function verifyStandardWebhook(secrets: WebhookSecrets, clock: Clock): VerifyWebhook {
  const signers = secrets.map((secret) => new Webhook(secret));
  return (headers, rawBody) => {
    const id = single(headers["webhook-id"]);
    const sentAt = single(headers["webhook-timestamp"]);
    const signatures = single(headers["webhook-signature"]);
    if (id === null || sentAt === null || signatures === null)
      return forged("webhook-id, webhook-timestamp or webhook-signature is missing");
    if (!/^\d{1,12}$/.test(sentAt)) return forged("webhook-timestamp is not a time in seconds");
    const sentAtSeconds = Number(sentAt);
    const ageSeconds = Math.floor(clock.now().getTime() / 1000) - sentAtSeconds;
    if (Math.abs(ageSeconds) > toleranceSeconds)
      return forged(`webhook-timestamp is ${ageSeconds} s old; ${toleranceSeconds} s are allowed`);
    const given = signatures.split(" ");
    const isSigned = signers.some((signer) => {
      const expected = signer.sign(id, new Date(sentAtSeconds * 1000), rawBody);
      return given.some((signature) => isEqual(signature, expected));
    });
    return isSigned ? { kind: "genuine", id } : forged("no signature matches");
  };
}

/** The payment gateway's scheme: `Stripe-Signature: t=<unix seconds>,v1=<hex>`. https://docs.stripe.com/webhooks */
export function verifyStripeWebhook(secrets: WebhookSecrets, clock: Clock): VerifyWebhook {
  return (headers, rawBody) => {
    const header = single(headers["stripe-signature"]);
    if (header === null) return forged("Stripe-Signature is missing");
    let reason = "no signature matches";
    for (const secret of secrets) {
      try {
        const receivedAtMs = clock.now().getTime();
        const event: unknown = Stripe.webhooks.constructEvent(
          rawBody,
          header,
          secret,
          toleranceSeconds,
          undefined,
          receivedAtMs,
        );
        return { kind: "genuine", id: identified.safeParse(event).data?.id ?? null };
      } catch (error) {
        // Signed, but no JSON.
        if (error instanceof SyntaxError) return { kind: "genuine", id: null };
        if (!(error instanceof Stripe.errors.StripeSignatureVerificationError)) throw error;
        reason = error.message.split("\n")[0] ?? reason;
      }
    }
    return forged(reason);
  };
}

/** A signed body may be any JSON, `null` too. */
const identified = z.object({ id: z.string().min(1) });

function forged(reason: string): Verified {
  return { kind: "forged", reason };
}

function single(value: string | readonly string[] | undefined): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function isEqual(given: string, expected: string): boolean {
  const left = Buffer.from(given);
  const right = Buffer.from(expected);
  return left.length === right.length && timingSafeEqual(left, right);
}
