import { parseAst } from "vitest/node";

/** What a file names after `from`, in `import(…)`, or in the type `import("…")`. */
export type Import = { specifier: string; typeOnly: boolean };

/** Reads them with a real parser, so that comments, strings and expressions cannot be mistaken for imports. */
export function readImports(source: string, path: string): Import[] {
  const lang = path.endsWith(".tsx") ? "tsx" : "ts";
  const found: Import[] = [];
  visit(parseAst(source, { lang }), found);
  return found;
}

function visit(node: unknown, found: Import[]): void {
  if (Array.isArray(node)) {
    for (const child of node) visit(child, found);
    return;
  }
  if (typeof node !== "object" || node === null) return;
  const specifier = readSpecifier(node);
  if (specifier !== undefined) found.push({ specifier, typeOnly: isTypeOnly(node) });
  for (const child of Object.values(node)) visit(child, found);
}

const importing = new Set([
  "ImportDeclaration",
  "ExportNamedDeclaration",
  "ExportAllDeclaration",
  "ImportExpression",
  "TSImportType",
]);

function readSpecifier(node: object): string | undefined {
  if (!importing.has(String(Reflect.get(node, "type")))) return undefined;
  const source: unknown = Reflect.get(node, "source");
  if (typeof source !== "object" || source === null) return undefined;
  // A computed import(…) names no file; only literal ones can be judged.
  const value: unknown = Reflect.get(source, "value");
  return typeof value === "string" ? value : undefined;
}

function isTypeOnly(node: object): boolean {
  if (Reflect.get(node, "type") === "TSImportType") return true;
  if (Reflect.get(node, "importKind") === "type" || Reflect.get(node, "exportKind") === "type") return true;
  const specifiers: unknown = Reflect.get(node, "specifiers");
  if (!Array.isArray(specifiers) || specifiers.length === 0) return false;
  return specifiers.every((one) => one?.importKind === "type" || one?.exportKind === "type");
}
