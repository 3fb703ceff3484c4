import { type VerifyingKey, verifyingKeyFrom } from "@caas/contract/jws.ts";
import { type KeySet, verifyKeySet } from "@caas/contract/key-set.ts";

/** The control plane's signing keys known to this car. */
export type KeyRing = {
  /** 0 before the first set. */
  readonly version: number;
  /** Takes a newer or the same set signed by the pinned root. */
  accept(
    token: string,
  ): { kind: "accepted"; keySet: KeySet; newer: boolean } | { kind: "refused"; reason: string };
  /**
   * The key of that `kid` if it is valid: not over by the `signed` time, and begun by the `latest` the car believes in.
   * A wrong clock must not end a key, because then nothing could put the clock right.
   */
  keyOf(kid: string, time: { signed: Date; latest: Date }): VerifyingKey | undefined;
};

// Importing a key costs more than verifying with it; thousands of cars in one process share a few.
const importedKeys = new Map<string, VerifyingKey>();

function importKey(x: string): VerifyingKey {
  const known = importedKeys.get(x);
  if (known !== undefined) return known;
  const key = verifyingKeyFrom(x);
  if (importedKeys.size < 64) importedKeys.set(x, key);
  return key;
}

/** `rootPublicKey` is the raw Ed25519 key (base64url) pinned at the factory. */
export function createKeyRing(rootPublicKey: string): KeyRing {
  const root = importKey(rootPublicKey);
  let keySet: KeySet | null = null;
  return {
    get version() {
      return keySet?.version ?? 0;
    },
    accept(token) {
      const knownVersion = keySet?.version ?? 0;
      const result = verifyKeySet(token, root, knownVersion);
      if (result.kind === "refused") return result;
      keySet = result.keySet;
      return { kind: "accepted", keySet, newer: keySet.version > knownVersion };
    },
    keyOf(kid, { signed, latest }) {
      const key = keySet?.keys.find((candidate) => candidate.kid === kid);
      if (key === undefined) return undefined;
      const isValid =
        Date.parse(key.notBefore) <= latest.getTime() && signed.getTime() < Date.parse(key.notAfter);
      return isValid ? importKey(key.x) : undefined;
    },
  };
}
