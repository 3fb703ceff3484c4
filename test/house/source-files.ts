import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

const leftOut = new Set(["node_modules", "data", "coverage", "dist", ".git"]);

/** Paths below the root, `/` between folders, of the files whose name ends so; nothing generated or installed. */
export function listFiles(ending: string, folder = ""): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (leftOut.has(entry.name)) return [];
    if (entry.isDirectory()) return listFiles(ending, path);
    return entry.isFile() && entry.name.endsWith(ending) ? [path] : [];
  });
}
