import { generateKeyPairSync, randomUUID } from "node:crypto";
import { type Display, signDisplay } from "@caas/contract/display.ts";
import { exportPublicKey, type SigningKey, thumbprintOf } from "@caas/contract/jws.ts";
import { type KeySet, signKeySet } from "@caas/contract/key-set.ts";
import { type Manifest, type ManifestEntry, manifestHash, signManifest } from "@caas/contract/manifest.ts";
import { parseVin, type Vin } from "@caas/contract/vin.ts";

export const testVin = parseVin("1M8GDM9AXKP042788");
export const otherVin = parseVin("11111111111111111");

export function makeSigningKey(): SigningKey & { x: string } {
  const { privateKey } = generateKeyPairSync("ed25519");
  const x = exportPublicKey(privateKey);
  return { kid: thumbprintOf(x), privateKey, x };
}

export function entry(code: string, changes: Partial<ManifestEntry> = {}): ManifestEntry {
  return { id: randomUUID(), code, configuration: { level: 1 }, term: { kind: "unlimited" }, ...changes };
}

/** The signing side of a control plane: a root, the key of the day, and documents signed by them. */
export type TestSigner = ReturnType<typeof createTestSigner>;

export function createTestSigner() {
  const root = makeSigningKey();
  const signer = makeSigningKey();
  const keySet = (version: number, keys: readonly { kid: string; x: string }[] = [signer]): string => {
    const set: KeySet = {
      version,
      issuedAt: "2026-01-01T00:00:00.000Z",
      keys: keys.map(({ kid, x }) => ({
        kid,
        x,
        notBefore: "2025-01-01T00:00:00.000Z",
        notAfter: "2099-01-01T00:00:00.000Z",
      })),
    };
    return signKeySet(set, root);
  };
  /** For `vin` and its proof key; `changes` replace the right values. */
  const manifest = (
    to: { vin: Vin; proofKey: { kid: string } },
    version: number,
    entries: readonly ManifestEntry[],
    changes: Partial<Manifest> & { signer?: SigningKey } = {},
  ): string => {
    const { signer: other, ...fields } = changes;
    const right: Manifest = {
      vin: to.vin,
      version,
      hash: manifestHash(entries),
      proofKey: to.proofKey.kid,
      keySetVersion: 1,
      issuedAt: "2026-03-01T08:00:00.000Z",
      entries: [...entries],
    };
    return signManifest({ ...right, ...fields }, other ?? signer);
  };
  const display = (vin: Vin, changes: Partial<Display> = {}): string =>
    signDisplay(
      {
        vin,
        id: randomUUID(),
        content: { kind: "linkingCode", code: "123456" },
        issuedAt: "2026-03-01T08:00:00.000Z",
        expiresAt: "2026-03-01T08:10:00.000Z",
        ...changes,
      },
      signer,
    );
  return { root, signer, keySet, manifest, display };
}
