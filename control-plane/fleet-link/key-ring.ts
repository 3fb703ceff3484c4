import { generateKeyPairSync } from "node:crypto";
import { chmod, mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@caas/contract/business-clock.ts";
import { exportPublicKey, type SigningKey, signingKeyFromPem } from "@caas/contract/jws.ts";
import { type KeySet, keySetSchema, signKeySet } from "@caas/contract/key-set.ts";

// The control plane's keys, made on the first start in one folder (0700, files 0600). The root signs only key
// sets; a real fleet makes it offline and gives this folder nothing but signed sets and the signing key.

export type KeyRing = {
  /** Pinned in every car at the factory. */
  rootPublicKey: string;
  signingKey: SigningKey;
  keySet: KeySet;
  /** The key set signed by the root. */
  keySetToken: string;
};

const signingKeyYears = 2;
const renewBeforeDays = 180;
const dayMs = 86_400_000;

/** Writes a secret so that a crash leaves the old file or the new one, and nobody else can read either. */
export async function writeSecret(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}

/** The file's text, or `make()` written to it when there is none. */
export async function readOrMake(path: string, make: () => string | Promise<string>): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    const text = await make();
    await writeSecret(path, text);
    return text;
  }
}

function makeEd25519(): string {
  return generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString();
}

function nextKeySet(version: number, signingKey: SigningKey, now: Date): KeySet {
  return {
    version,
    issuedAt: now.toISOString(),
    keys: [
      {
        kid: signingKey.kid,
        x: exportPublicKey(signingKey.privateKey),
        // A day back: a car's clock may be behind ours.
        notBefore: new Date(now.getTime() - dayMs).toISOString(),
        notAfter: new Date(now.getTime() + signingKeyYears * 365 * dayMs).toISOString(),
      },
    ],
  };
}

/**
 * Opens the folder's keys, making what is missing. A set that ends within half a year is issued anew, with the
 * next version.
 * @throws when a file is there but is not what it should be.
 */
export async function openKeyRing(folder: string, clock: Clock): Promise<KeyRing> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const root = signingKeyFromPem(await readOrMake(join(folder, "root.pem"), makeEd25519));
  const signingKey = signingKeyFromPem(await readOrMake(join(folder, "signing.pem"), makeEd25519));
  const now = clock.now();
  const stored = keySetSchema.parse(
    JSON.parse(
      await readOrMake(join(folder, "key-set.json"), () =>
        JSON.stringify(nextKeySet(1, signingKey, now), null, 2),
      ),
    ),
  );
  const current = stored.keys.find((key) => key.kid === signingKey.kid);
  const endsMs = current === undefined ? 0 : Date.parse(current.notAfter);
  const keySet =
    endsMs - now.getTime() > renewBeforeDays * dayMs
      ? stored
      : nextKeySet(stored.version + 1, signingKey, now);
  if (keySet !== stored) await writeSecret(join(folder, "key-set.json"), JSON.stringify(keySet, null, 2));
  return {
    rootPublicKey: exportPublicKey(root.privateKey),
    signingKey,
    keySet,
    keySetToken: signKeySet(keySet, root),
  };
}
