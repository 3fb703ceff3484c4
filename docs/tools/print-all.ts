import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { printedDocuments } from "./printed-documents.ts";

/** Writes every printed document below `root` (the repository) and returns the paths it wrote. */
export async function printAll(root: string): Promise<readonly string[]> {
  for (const { path, render } of printedDocuments) await writeFile(resolve(root, path), await render());
  return printedDocuments.map(({ path }) => path);
}

if (import.meta.main) {
  for (const path of await printAll(resolve(import.meta.dirname, "../.."))) console.log(`printed ${path}`);
}
