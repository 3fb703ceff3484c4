import { unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@caas/contract/business-clock.ts";
import { dayMs } from "@caas/contract/durations.ts";
import { signingKeyFromPem } from "@caas/contract/jws.ts";
import { type KeySet, keySetSchema } from "@caas/contract/key-set.ts";
import { keySetEntry, keySetFile, readKeyFolder, signingKeyFile } from "./key-ring.ts";
import { makeEd25519, writeSecret } from "./secret-files.ts";

// Changing the signing keys of a folder that a running control plane may be using. The set names its current key
// first, so renaming that one file is the whole change: before it the old key signs, after it the new one.

/** By then messages signed just before a rotation have been read, and every car that is driven has the new set. */
export const graceDays = 30;
const mostKeys = 16;

/** Makes a new key the current one; the old one verifies until its grace period ends, its private half is deleted. */
export async function rotateKeys(folder: string, clock: Clock): Promise<KeySet> {
  return replaceCurrent(folder, clock, (old, now) =>
    old.map((key) => {
      const graceEnds = new Date(now.getTime() + graceDays * dayMs).toISOString();
      return key.notAfter < graceEnds ? key : { ...key, notAfter: graceEnds };
    }),
  );
}

/**
 * Removes a key from the set at once: cars with the new set refuse everything it signed. Revoking the
 * current key makes a new one.
 * @throws Error when the set has no such key.
 */
export async function revokeKey(folder: string, clock: Clock, kid: string): Promise<KeySet> {
  const { keySet } = await readKeyFolder(folder);
  if (!keySet.keys.some((key) => key.kid === kid)) throw new Error(`the key set has no key ${kid}`);
  if (keySet.keys[0]?.kid === kid)
    return replaceCurrent(folder, clock, (old) => old.filter((key) => key.kid !== kid));
  const next: KeySet = {
    version: keySet.version + 1,
    issuedAt: clock.now().toISOString(),
    keys: keySet.keys.filter((key) => key.kid !== kid),
  };
  await writeKeySet(folder, next);
  return next;
}

async function replaceCurrent(
  folder: string,
  clock: Clock,
  keep: (old: KeySet["keys"], now: Date) => KeySet["keys"],
): Promise<KeySet> {
  const { keySet, signingKey: retired } = await readKeyFolder(folder);
  const now = clock.now();
  const pem = makeEd25519();
  const key = signingKeyFromPem(pem);
  await writeSecret(signingKeyFile(folder, key.kid), pem);
  const kept = keep(keySet.keys, now).filter(({ notAfter }) => Date.parse(notAfter) > now.getTime());
  const next: KeySet = {
    version: keySet.version + 1,
    issuedAt: now.toISOString(),
    keys: [keySetEntry(key, now), ...kept].slice(0, mostKeys),
  };
  await writeKeySet(folder, next);
  // Verifying needs only the public half; a private key that does not exist cannot be stolen.
  for (const file of [signingKeyFile(folder, retired.kid), join(folder, "signing.pem")])
    await removeIfThere(file);
  return next;
}

async function writeKeySet(folder: string, keySet: KeySet): Promise<void> {
  await writeSecret(join(folder, keySetFile), JSON.stringify(keySetSchema.parse(keySet), null, 2));
}

async function removeIfThere(file: string): Promise<void> {
  try {
    await unlink(file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
}
