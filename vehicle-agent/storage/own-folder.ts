import { chmod, mkdir, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isMissing } from "./durable-files.ts";

/**
 * Makes a folder and those above it. One level at a time: the system's own recursion never ends on a file system that
 * answers "no such file" to a folder whose parent exists, as /proc does.
 */
export async function makeFolders(path: string, mode?: number): Promise<void> {
  try {
    await mkdir(path, mode);
  } catch (error) {
    if (await isFolder(path)) return;
    const parent = dirname(path);
    if (!isMissing(error) || parent === path || (await isFolder(parent))) throw error;
    await makeFolders(parent);
    await mkdir(path, mode);
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

/**
 * Takes from other users what a copy or an unpacked back-up gave them: the files of `folder` become readable by the
 * agent's user only.
 * @throws when a file belongs to another user
 */
export async function restrictFiles(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isFile() && ((await stat(path)).mode & 0o077) !== 0) await chmod(path, 0o600);
  }
}
