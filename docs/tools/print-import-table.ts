import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { parts } from "../../test/house/import-table.ts";
import { renderTable } from "./markdown.ts";

/** The import table as ARCHITECTURE.md shows it: what is enforced, a row a folder. */
function renderImportTable(): string {
  const rows = parts.map(({ folder, mayImport, packages }) => [
    `\`${folder}\``,
    mayImport.length === 0 ? "nothing" : mayImport.map(shorten).join(", "),
    packages === "any" ? "any it declares" : packages.length === 0 ? "none" : packages.map(quote).join(", "),
  ]);
  return renderTable(["folder", "may import", "packages"], rows);
}

const table = /\| folder +\| may import +\|[\s\S]*?\n(?=\n)/;

/** ARCHITECTURE.md as it is, with the import table as it is enforced. @throws when it holds no such table */
export async function renderArchitecture(): Promise<string> {
  const text = await readFile(resolve(import.meta.dirname, "../../ARCHITECTURE.md"), "utf8");
  if (!table.test(text)) throw new Error("ARCHITECTURE.md holds no import table");
  return text.replace(table, () => `${renderImportTable().trimEnd()}\n`);
}

/** A name with an asterisk would be read as emphasis. */
function quote(name: string): string {
  return name.includes("*") ? `\`${name}\`` : name;
}

/** `type:control-plane/http` → `types of http`. */
function shorten(folder: string): string {
  const name = folder.replace(/^(type:)?control-plane\//, "$1");
  return name.startsWith("type:") ? `types of ${name.slice("type:".length)}` : quote(name);
}
