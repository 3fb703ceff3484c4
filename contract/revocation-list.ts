import * as z from "zod";
import { type SigningKey, signJws, type VerifyingKey, verifyJws } from "./jws.ts";
import { vinSchema } from "./vin.ts";

// Whom the broker must no longer let in: complete, versioned, signed by a key of the current key set. The control
// plane sends it to the broker on every connect and on every change.

/** Only the control plane may publish here, and nobody may subscribe: the broker itself reads it. */
export const revocationTopic = "caas/v1/revocations";

export const revocationListSchema = z.strictObject({
  version: z.int().min(1),
  issuedAt: z.iso.datetime(),
  revoked: z
    .array(
      z.strictObject({
        vin: vinSchema,
        /** Lower-case hexadecimal, as in the certificate; `null` revokes every certificate of the car. */
        serialNumber: z.string().max(64).nullable(),
        at: z.iso.datetime(),
      }),
    )
    .max(100_000),
});
export type RevocationList = z.infer<typeof revocationListSchema>;

/** What is published: the list, and the key set to verify it with, which the broker checks against its pinned root. */
export const revocationMessageSchema = z.strictObject({ keySet: z.string(), list: z.string() });
export type RevocationMessage = z.infer<typeof revocationMessageSchema>;

export function signRevocationList(list: RevocationList, key: SigningKey): string {
  return signJws("caas-revocations+jws", revocationListSchema.parse(list), key);
}

/** The list, or `null` where it is forged, malformed or older than `knownVersion`. */
export function verifyRevocationList(
  token: string,
  keyOf: (kid: string) => VerifyingKey | undefined,
  knownVersion: number,
): RevocationList | null {
  const result = verifyJws("caas-revocations+jws", token, keyOf);
  if (result.kind === "refused") return null;
  const parsed = revocationListSchema.safeParse(result.payload);
  return parsed.success && parsed.data.version >= knownVersion ? parsed.data : null;
}
