import * as z from "zod";
import { type SigningKey, signJws, type VerifyingKey, verifyJws } from "./jws.ts";
import { vinSchema } from "./vin.ts";

// The cars and certificates that the broker must refuse: complete, versioned, signed by a key of the current key set. The control
// plane sends it to the broker on every connect and on every change. A packet holds 64 KiB, so a long list travels
// in parts, each signed by itself; the broker enforces it when it has all parts of one version.

/** Only the control plane may publish here, and no client may subscribe: the broker itself reads it. */
export const revocationTopic = "caas/v1/revocations";

/** With the longest serial numbers and a key set of 16 keys a part stays below 56 KiB. */
export const revocationsPerPart = 400;
/** 100,000 revocations in total: with more the fleet has another problem. */
const maxParts = 250;

export const revocationSchema = z.strictObject({
  vin: vinSchema,
  /** As `normalizeSerialNumber` writes it; `null` revokes the car with every certificate and its password. */
  serialNumber: z
    .string()
    .regex(/^[1-9a-f][0-9a-f]{0,39}$/)
    .nullable(),
});
export type Revocation = z.infer<typeof revocationSchema>;

export const revocationListSchema = z
  .strictObject({
    version: z.int().min(1),
    issuedAt: z.iso.datetime(),
    part: z.int().min(1),
    parts: z.int().min(1).max(maxParts),
    revoked: z.array(revocationSchema).max(revocationsPerPart),
  })
  .refine(({ part, parts }) => part <= parts, "a part beyond the last");
export type RevocationList = z.infer<typeof revocationListSchema>;

/** The published message: the list, and the key set to verify it, which the broker checks against its pinned root. */
export const revocationMessageSchema = z.strictObject({ keySet: z.string(), list: z.string() });
export type RevocationMessage = z.infer<typeof revocationMessageSchema>;

/** One spelling of a certificate's serial number: lower-case hexadecimal without leading zeros (RFC 5280, 4.1.2.2). */
export function normalizeSerialNumber(hex: string): string {
  return hex.toLowerCase().replace(/^0+(?=.)/, "");
}

/** Splits a list of any length into parts; an empty list has one. @throws Error above 100,000 entries. */
export function splitRevocationList(
  version: number,
  issuedAt: Date,
  revoked: readonly Revocation[],
): RevocationList[] {
  const parts = Math.max(1, Math.ceil(revoked.length / revocationsPerPart));
  if (parts > maxParts) throw new Error(`${revoked.length} revocations are more than a list may hold`);
  return Array.from({ length: parts }, (_, index) => ({
    version,
    issuedAt: issuedAt.toISOString(),
    part: index + 1,
    parts,
    revoked: revoked.slice(index * revocationsPerPart, (index + 1) * revocationsPerPart),
  }));
}

export function signRevocationList(list: RevocationList, key: SigningKey): string {
  return signJws("caas-revocations+jws", revocationListSchema.parse(list), key);
}

/** `forged`: no key that `keyOf` trusts signed it. */
export function verifyRevocationList(
  token: string,
  keyOf: (kid: string) => VerifyingKey | undefined,
): { kind: "accepted"; list: RevocationList } | { kind: "refused"; reason: "forged" | "malformed" } {
  const result = verifyJws("caas-revocations+jws", token, keyOf);
  if (result.kind === "refused") return { kind: "refused", reason: "forged" };
  const parsed = revocationListSchema.safeParse(result.payload);
  return parsed.success ? { kind: "accepted", list: parsed.data } : { kind: "refused", reason: "malformed" };
}
