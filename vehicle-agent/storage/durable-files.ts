import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";

// Writes that survive a power loss: content first, then its name, then the folder of the name.

/** Makes the entries of a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Writes and syncs a new file; the caller syncs the folder. */
export async function writeSynced(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, "w", mode);
  try {
    // The mode of `open` applies only to a file that did not exist.
    await file.chmod(mode);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Replaces a file: a reader, or a boot after a crash at any point, sees the old text or the new one. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.new`;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeSynced(temporary, text, mode);
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

export async function readIfPresent(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/** A folder is in the place of a file, or the reverse: what was expected is not there, whatever is tried. */
const otherKinds: ReadonlySet<unknown> = new Set(["EISDIR", "ENOTDIR", "EEXIST", "ENOTEMPTY", "EINVAL"]);

export function isOfOtherKind(error: unknown): boolean {
  return error instanceof Error && "code" in error && otherKinds.has(error.code);
}

/** The same, or the disk does not give it out: for what the platform sends again. */
export function isUnreadable(error: unknown): boolean {
  const isRefused =
    error instanceof Error && "code" in error && (error.code === "EACCES" || error.code === "EIO");
  return isRefused || isOfOtherKind(error);
}
