import * as z from "zod";
import {
  importPublicKey,
  type SigningKey,
  signJws,
  thumbprintOf,
  type VerifyingKey,
  verifyJws,
} from "./jws.ts";
import { countSchema, hashSchema } from "./signed-values.ts";

// The control plane's signing keys, signed by the root that was pinned in the car at the factory.
// A car trusts a key set only through that root, never through a key of an older set.

const publicKeySchema = z.strictObject({
  kid: z.string().min(1).max(64),
  x: hashSchema,
  notBefore: z.iso.datetime(),
  notAfter: z.iso.datetime(),
});

export const keySetSchema = z.strictObject({
  version: countSchema(1),
  issuedAt: z.iso.datetime(),
  keys: z.array(publicKeySchema).min(1).max(16),
});

export type KeySet = z.infer<typeof keySetSchema>;

export type KeySetRefusal = "malformed" | "untrusted" | "older";

export function signKeySet(keySet: KeySet, root: SigningKey): string {
  return signJws("caas-keys+jws", keySetSchema.parse(keySet), root);
}

/**
 * Accepts a key set signed by `root` whose version is at least `knownVersion`, so that a replayed old set
 * cannot bring a retired key back.
 */
export function verifyKeySet(
  token: string,
  root: VerifyingKey,
  knownVersion: number,
): { kind: "accepted"; keySet: KeySet } | { kind: "refused"; reason: KeySetRefusal } {
  const result = verifyJws("caas-keys+jws", token, (kid) => (kid === root.kid ? root : undefined));
  if (result.kind === "refused") return { kind: "refused", reason: "untrusted" };
  const parsed = keySetSchema.safeParse(result.payload);
  if (!parsed.success) return { kind: "refused", reason: "malformed" };
  if (parsed.data.keys.some((key) => thumbprintOf(key.x) !== key.kid))
    return { kind: "refused", reason: "malformed" };
  if (parsed.data.version < knownVersion) return { kind: "refused", reason: "older" };
  return { kind: "accepted", keySet: parsed.data };
}

/** The verifying keys of a set that are valid at `at`, by `kid`. */
export function keysValidAt(keySet: KeySet, at: Date): ReadonlyMap<string, VerifyingKey> {
  const valid = keySet.keys.filter(
    (key) => Date.parse(key.notBefore) <= at.getTime() && at.getTime() < Date.parse(key.notAfter),
  );
  return new Map(valid.map((key) => [key.kid, { kid: key.kid, publicKey: importPublicKey(key.x) }]));
}
