import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isForTests } from "./import-table.ts";
import type { Import } from "./read-imports.ts";
import { root } from "./source-files.ts";

type Manifest = { workspaces: readonly string[]; dependencies: Set<string>; all: Set<string> };

/** What a package.json declares; `folder` "" is the root's. */
export function readManifest(folder: string): Manifest {
  const parsed: unknown = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
  const names = (field: string) => {
    const listed: unknown =
      typeof parsed === "object" && parsed !== null ? Reflect.get(parsed, field) : undefined;
    if (Array.isArray(listed)) return listed.map(String);
    return typeof listed === "object" && listed !== null ? Object.keys(listed) : [];
  };
  const dependencies = new Set([...names("dependencies"), ...names("optionalDependencies")]);
  return {
    workspaces: names("workspaces"),
    dependencies,
    all: new Set([...dependencies, ...names("devDependencies")]),
  };
}

/**
 * Whether the package an import names is declared where the file lives: a part that is installed or bundled
 * alone has only what its own package.json lists. Tests run in the whole checkout and use what any part or the
 * root declares; the root's own folders use what the root declares.
 *
 * @returns undefined when it is, else a sentence
 */
export function judgePackage(path: string, { specifier }: Import): string | undefined {
  if (/^(\.|@caas\/|node:)/.test(specifier)) return undefined;
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  const rootManifest = readManifest("");
  const folder = path.split("/")[0] ?? "";
  if (isForTests(path)) {
    const manifests = [rootManifest, ...rootManifest.workspaces.map(readManifest)];
    if (manifests.some((manifest) => manifest.all.has(name))) return undefined;
    return `${path} imports "${name}", which no package.json declares`;
  }
  if (rootManifest.workspaces.includes(folder)) {
    if (readManifest(folder).dependencies.has(name)) return undefined;
    return `${path} imports "${name}", which ${folder}/package.json does not declare`;
  }
  // `npm start` must work without the development dependencies; the other root folders are for development.
  const declared = folder === "start" ? rootManifest.dependencies : rootManifest.all;
  return declared.has(name)
    ? undefined
    : `${path} imports "${name}", which the root package.json does not declare`;
}
