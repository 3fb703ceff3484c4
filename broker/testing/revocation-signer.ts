import { generateKeyPairSync } from "node:crypto";
import { dayMs } from "@caas/contract/durations.ts";
import { exportPublicKey, type SigningKey, signingKeyFromPem } from "@caas/contract/jws.ts";
import { type KeySet, signKeySet } from "@caas/contract/key-set.ts";
import { type Revocation, signRevocationList, splitRevocationList } from "@caas/contract/revocation-list.ts";

export function newSigningKey(): SigningKey {
  const { privateKey } = generateKeyPairSync("ed25519");
  return signingKeyFromPem(privateKey.export({ format: "pem", type: "pkcs8" }).toString());
}

/** A control plane's keys: its root, and whatever key signs now. */
export function createRevocationSigner() {
  const root = newSigningKey();
  const key = newSigningKey();

  function keySetOf(version: number, keys: readonly SigningKey[], signer = root): string {
    const set: KeySet = {
      version,
      issuedAt: new Date().toISOString(),
      keys: keys.map(({ kid, privateKey }) => ({
        kid,
        x: exportPublicKey(privateKey),
        notBefore: new Date(Date.now() - dayMs).toISOString(),
        notAfter: new Date(Date.now() + 365 * dayMs).toISOString(),
      })),
    };
    return signKeySet(set, signer);
  }

  return {
    rootPublicKey: exportPublicKey(root.privateKey),
    /** The messages to publish; with `changes` another key signs, or another root signs the set. */
    messages(
      version: number,
      revoked: readonly Revocation[],
      changes: { key?: SigningKey; keySet?: string; issuedAt?: Date } = {},
    ): string[] {
      const keySet = changes.keySet ?? keySetOf(1, [key]);
      return splitRevocationList(version, changes.issuedAt ?? new Date(), revoked).map((list) =>
        JSON.stringify({ keySet, list: signRevocationList(list, changes.key ?? key) }),
      );
    },
    keySetOf,
    key,
  };
}
