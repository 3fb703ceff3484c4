import { chmodSync, existsSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  listSecretFiles,
  protectSecrets,
  SecretExposed,
} from "@caas/control-plane/fleet-link/protect-secrets.ts";
import { makeFolders } from "@caas/vehicle-agent/storage/own-folder.ts";
import { isDiskFull, wordsOfFileTrouble } from "./file-trouble.ts";
import { StartRefused } from "./ports.ts";
import { FolderInUse, lockFolder } from "./postgres/folder-lock.ts";

export type DataFolder = {
  /** Gives it free again. */
  unlock: () => void;
  /** A sentence for each file that others could read, and now cannot. */
  mended: string[];
};

/** Measured: a first start writes 53 MB, two thirds of it PostgreSQL's own tables. */
const firstStartMegabytes = 80;
/** The database writes its log in files of 16 MB each, and cannot go on without the next one. */
const leastMegabytes = 32;

/** Why nothing can be kept here at the moment, or `null`: said beside the words of the part that noticed. */
export function explainLittleRoom(dataDir: string): string | null {
  if (!existsSync(dataDir)) return null;
  const { bavail, bsize } = statfsSync(dataDir);
  const free = Math.floor((bavail * bsize) / 1024 / 1024);
  const needed = existsSync(join(dataDir, "postgres", "cluster")) ? leastMegabytes : firstStartMegabytes;
  if (free >= needed) return null;
  return `The disk of ${dataDir} has ${free} MB left, and ${needed} MB are needed. Make room and start again: what was kept stays. --data DIR names another folder.`;
}

/**
 * Makes the data folder where it is absent, takes it for this process, and closes what is secret in it to others.
 * @throws StartRefused in a sentence: in use, full, not writable, or on a file system that keeps no rights
 */
export async function openDataFolder(dataDir: string): Promise<DataFolder> {
  let unlock: (() => void) | null = null;
  try {
    await makeFolders(dataDir, 0o711);
    // The database may run as another user, who must be able to pass through (see start/postgres).
    chmodSync(dataDir, 0o711);
    const room = explainLittleRoom(dataDir);
    if (room !== null) throw new StartRefused(room);
    requireRights(dataDir);
    unlock = lockFolder(dataDir);
    const secrets = [join(dataDir, "secrets.json"), join(dataDir, "story.json"), join(dataDir, "walk.sh")];
    const kept = [...secrets.filter(isThere), ...(await listSecretFiles(join(dataDir, "keys")))];
    return { unlock, mended: await protectSecrets(kept) };
  } catch (error) {
    unlock?.();
    throw explain(dataDir, error);
  }
}

/** Where a file cannot be closed to others, no key may be kept. */
function requireRights(dataDir: string): void {
  const probe = join(dataDir, `rights.${process.pid}.probe`);
  try {
    writeFileSync(probe, "", { mode: 0o600 });
    if ((statSync(probe).mode & 0o077) !== 0)
      throw new StartRefused(
        `The data folder ${dataDir} is on a file system that keeps no rights: keys in it could be read by everyone. ` +
          "--data DIR names another.",
      );
  } finally {
    rmSync(probe, { force: true });
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function explain(dataDir: string, error: unknown): unknown {
  if (error instanceof FolderInUse) return new StartRefused(`${error.message} (--data DIR names another.)`);
  if (error instanceof SecretExposed) return new StartRefused(`${error.message}.`);
  const words = wordsOfFileTrouble(error);
  if (words === null) return error;
  const help = isDiskFull(error)
    ? "Make room and start again, or use --data DIR."
    : "--data DIR names another.";
  return new StartRefused(`The data folder ${dataDir} cannot be used: ${words}. ${help}`);
}
