import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isMissing } from "./durable-files.ts";

/** Per file: enough to find out what happens to a disk, and a disk that damages on and on is not filled. */
const mostKept = 3;

/** Renames a damaged file, or what is in its place, to `<name>.damaged-<n>`, the newest with the highest number. */
export async function setFileAside(path: string): Promise<void> {
  const folder = dirname(path);
  const prefix = `${basename(path)}.damaged-`;
  const numbers = (await readdir(folder).catch(() => []))
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length)))
    .filter(Number.isInteger)
    .sort((a, b) => a - b);
  const nameOf = (number: number): string => join(folder, `${prefix}${number}`);
  for (const number of numbers.slice(0, Math.max(0, numbers.length - mostKept + 1)))
    await rm(nameOf(number), { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await rename(path, nameOf((numbers.at(-1) ?? 0) + 1)).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
}
