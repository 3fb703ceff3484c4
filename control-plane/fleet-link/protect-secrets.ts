import { chmod, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

// Whoever can read a key can speak for the platform, so a key that others can read is mended or refused, never used as
// it is.

/** A secret that others can read, and that we cannot close to them. */
export class SecretExposed extends Error {
  override name = "SecretExposed";
}

const ofOthers = 0o077;
/** As PostgreSQL allows it for its own keys: an orchestrator hands root's files to our group. */
const ofOthersWhereRootOwns = 0o027;

/** Every file of a folder of keys; none where there is no folder yet. */
export async function listSecretFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(folder, entry.name));
}

/**
 * Takes the rights of others away from files that are ours.
 * @returns a sentence for each file that was mended
 * @throws SecretExposed where that cannot be done
 */
export async function protectSecrets(paths: readonly string[]): Promise<string[]> {
  const mended = await Promise.all(paths.map(protectSecret));
  return mended.filter((sentence) => sentence !== null);
}

async function protectSecret(path: string): Promise<string | null> {
  const { mode, uid } = await stat(path);
  if (!isExposed(mode, uid)) return null;
  const rights = (mode & 0o777).toString(8);
  await chmod(path, mode & 0o700).catch((error: unknown) => {
    throw new SecretExposed(
      `${path} can be read by other users (mode ${rights}), and cannot be closed to them: give it the mode 600`,
      { cause: error },
    );
  });
  if (isExposed((await stat(path)).mode, uid))
    throw new SecretExposed(
      `${path} can be read by other users (mode ${rights}), and its file system keeps no rights: move it to one that does`,
    );
  return `${path} could be read by other users (mode ${rights}); now it cannot. Where someone else may have read it, make new keys`;
}

function isExposed(mode: number, uid: number): boolean {
  const isOfRoot = uid === 0 && process.getuid?.() !== 0;
  return (mode & (isOfRoot ? ofOthersWhereRootOwns : ofOthers)) !== 0;
}
