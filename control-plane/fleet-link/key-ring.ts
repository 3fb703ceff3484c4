import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@caas/contract/business-clock.ts";
import { dayMs } from "@caas/contract/durations.ts";
import { exportPublicKey, type SigningKey, signingKeyFromPem } from "@caas/contract/jws.ts";
import { type KeySet, keySetSchema, signKeySet } from "@caas/contract/key-set.ts";
import { makeEd25519, readIfThere, readOrMake, restrictFolder, writeSecret } from "./secret-files.ts";

// The control plane's keys, made on the first start in one folder (0700, files 0600). The root signs only key
// sets; a real fleet makes it offline, and this folder gets only signed sets and the signing key.

export type KeyRing = {
  /** Pinned in every car at the factory, and in the broker. */
  readonly rootPublicKey: string;
  /** The current key, the first of the set. */
  readonly signingKey: SigningKey;
  readonly keySet: KeySet;
  /** The key set signed by the root. */
  readonly keySetToken: string;
  /** Takes over a newer set that was written into the folder since. @returns whether there was one */
  refresh(): Promise<boolean>;
};

/** The folder's content: the set says which key signs, so that renaming one file is the whole change. */
export type KeyFolder = { root: SigningKey; keySet: KeySet; signingKey: SigningKey };

export const keySetFile = "key-set.json";
export const signingKeyYears = 2;
const renewBeforeDays = 180;

/** The entry of a key that is valid from now on. */
export function keySetEntry(key: SigningKey, now: Date): KeySet["keys"][number] {
  return {
    kid: key.kid,
    x: exportPublicKey(key.privateKey),
    // A day back: a car's clock may be behind ours.
    notBefore: new Date(now.getTime() - dayMs).toISOString(),
    notAfter: new Date(now.getTime() + signingKeyYears * 365 * dayMs).toISOString(),
  };
}

/** The file of the private half of a set's key. */
export function signingKeyFile(folder: string, kid: string): string {
  return join(folder, `signing-${kid}.pem`);
}

/** @throws when the folder is incomplete or a file is invalid. */
export async function readKeyFolder(folder: string): Promise<KeyFolder> {
  const root = signingKeyFromPem(await readFile(join(folder, "root.pem"), "utf8"));
  const keySet = keySetSchema.parse(JSON.parse(await readFile(join(folder, keySetFile), "utf8")));
  const kid = keySet.keys[0]?.kid ?? "";
  // `signing.pem` held the key before there could be several.
  const pem =
    (await readIfThere(signingKeyFile(folder, kid))) ?? (await readFile(join(folder, "signing.pem"), "utf8"));
  const signingKey = signingKeyFromPem(pem);
  if (signingKey.kid !== kid)
    throw new Error(`the folder ${folder} does not hold the signing key ${kid} that its key set names first`);
  return { root, keySet, signingKey };
}

async function makeMissing(folder: string, clock: Clock): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await restrictFolder(folder);
  const root = signingKeyFromPem(await readOrMake(join(folder, "root.pem"), makeEd25519));
  // For the broker, which pins it.
  await readOrMake(join(folder, "root.pub"), () => `${exportPublicKey(root.privateKey)}\n`);
  await readOrMake(join(folder, keySetFile), async () => {
    const pem = (await readIfThere(join(folder, "signing.pem"))) ?? makeEd25519();
    const key = signingKeyFromPem(pem);
    await writeSecret(signingKeyFile(folder, key.kid), pem);
    const now = clock.now();
    const first: KeySet = { version: 1, issuedAt: now.toISOString(), keys: [keySetEntry(key, now)] };
    return JSON.stringify(first, null, 2);
  });
}

/** A set whose current key ends within half a year is issued again, with the next version. */
async function extend(folder: string, held: KeyFolder, now: Date): Promise<KeyFolder> {
  const [current, ...others] = held.keySet.keys;
  const endsMs = current === undefined ? 0 : Date.parse(current.notAfter);
  if (endsMs - now.getTime() > renewBeforeDays * dayMs) return held;
  const keySet: KeySet = {
    version: held.keySet.version + 1,
    issuedAt: now.toISOString(),
    keys: [
      keySetEntry(held.signingKey, now),
      ...others.filter((key) => Date.parse(key.notAfter) > now.getTime()),
    ],
  };
  await writeSecret(join(folder, keySetFile), JSON.stringify(keySet, null, 2));
  return { ...held, keySet };
}

/**
 * Opens the folder's keys, making what is missing.
 * @throws when an existing file is invalid.
 */
export async function openKeyRing(folder: string, clock: Clock): Promise<KeyRing> {
  await makeMissing(folder, clock);
  let held = await extend(folder, await readKeyFolder(folder), clock.now());
  let token = signKeySet(held.keySet, held.root);
  let written = await writingOf(folder);
  const rootPublicKey = exportPublicKey(held.root.privateKey);
  return {
    rootPublicKey,
    get signingKey() {
      return held.signingKey;
    },
    get keySet() {
      return held.keySet;
    },
    get keySetToken() {
      return token;
    },
    async refresh() {
      const nowWritten = await writingOf(folder);
      if (nowWritten === written) return false;
      const found = await readKeyFolder(folder);
      written = nowWritten;
      // Cars refuse an older set, and all of them pinned the root: neither may change under a running fleet.
      if (found.root.kid !== held.root.kid)
        throw new Error("the key folder has another root: not taken over");
      if (found.keySet.version <= held.keySet.version) return false;
      held = found;
      token = signKeySet(held.keySet, held.root);
      return true;
    },
  };
}

/**
 * Tells one writing of the set from the next. A file system's times are some milliseconds coarse, so the time alone would
 * miss a set that follows another at once; each is a new file, put in the place of the last.
 */
async function writingOf(folder: string): Promise<string> {
  const { ino, mtimeNs } = await stat(join(folder, keySetFile), { bigint: true });
  return `${ino} ${mtimeNs}`;
}
