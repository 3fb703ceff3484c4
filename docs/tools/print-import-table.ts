import { parts } from "../../test/house/import-table.ts";
import { renderTable } from "./markdown.ts";

/** The import table as ARCHITECTURE.md shows it: what is enforced, a row a folder. */
export function renderImportTable(): string {
  const rows = parts.map(({ folder, mayImport, packages }) => [
    `\`${folder}\``,
    mayImport.length === 0 ? "nothing" : mayImport.map(shorten).join(", "),
    packages === "any" ? "any it declares" : packages.length === 0 ? "none" : packages.map(quote).join(", "),
  ]);
  return renderTable(["folder", "may import", "packages"], rows);
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
