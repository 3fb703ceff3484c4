import { posix } from "node:path";
import type { Import } from "./read-imports.ts";

/** A part of the house: a folder and what its files may import from the other parts. */
export type Part = {
  /** Folder below the root; `*` stands for one folder name. The first row that fits a file is its part. */
  folder: string;
  /** Other parts, by folder; `type:` before it allows types only; "every part" allows all. */
  mayImport: readonly string[];
  /** Packages and `node:` modules; "any" leaves it to the part's package.json. */
  packages: "any" | readonly string[];
  because: string;
};

const wiring =
  "the wiring happens in wiring.ts, app.ts and main.ts alone, so each piece can be read and tested by itself";

/** The table of ARCHITECTURE.md, as it is enforced. */
export const parts: readonly Part[] = [
  {
    folder: "contract",
    mayImport: [],
    packages: ["zod", "node:crypto", "sodium-native"],
    because:
      "it is what crosses a wire: every part depends on it, in the car too, so it depends on next to nothing",
  },
  {
    folder: "control-plane/rules",
    mayImport: [],
    packages: [],
    because: "the rules are data and pure decisions: no input, no output, no clock, no library",
  },
  {
    folder: "control-plane/features/*",
    mayImport: [
      "control-plane/rules",
      "control-plane/lifecycle",
      "contract",
      "control-plane/store",
      "control-plane/http",
      "type:control-plane/partners",
      "type:control-plane/metrics",
    ],
    packages: "any",
    because:
      "a feature knows the rules, the store and its partners' interfaces, never another feature's insides",
  },
  // Layers: the store lies under everything; metrics and REST stand on it; the fleet link on all three.
  ...[
    { name: "store", on: [] },
    { name: "partners", on: ["type:control-plane/store"] },
    { name: "metrics", on: ["control-plane/store"] },
    { name: "http", on: ["control-plane/store"] },
    { name: "fleet-link", on: ["control-plane/store", "control-plane/http", "type:control-plane/metrics"] },
  ].map(({ name, on }) => ({
    folder: `control-plane/${name}`,
    mayImport: ["contract", "type:control-plane/rules", "type:control-plane/lifecycle", ...on],
    packages: "any" as const,
    because: `it is a tool the features use, and knows only the layers below it; ${wiring}`,
  })),
  {
    folder: "control-plane/lifecycle",
    mayImport: ["control-plane/rules", "contract", "control-plane/store"],
    packages: "any",
    because: "it is the one way to move a state: every feature uses it, and it knows none of them",
  },
  {
    folder: "control-plane/web",
    mayImport: ["contract"],
    packages: "any",
    because: "the pages talk to the control plane over HTTP like any other client",
  },
  {
    folder: "control-plane",
    mayImport: [
      "contract",
      "control-plane/rules",
      "control-plane/lifecycle",
      "control-plane/features/*",
      ...["partners", "store", "http", "metrics", "fleet-link"].map((name) => `control-plane/${name}`),
    ],
    packages: "any",
    because: "it wires its own part; the other parts run elsewhere",
  },
  {
    folder: "vehicle-agent",
    mayImport: ["contract"],
    packages: ["mqtt", "zod", "pino", "prom-client", "@peculiar/x509", "reflect-metadata", "aedes", "node:*"],
    because: "it runs in a car: small, and with nothing of the back end inside",
  },
  {
    folder: "simulator",
    mayImport: ["contract", "vehicle-agent"],
    packages: "any",
    because: "it is the independent check: what it shared with the control plane, it could not catch",
  },
  {
    folder: "broker",
    mayImport: ["contract"],
    packages: [
      "aedes",
      "aedes-*",
      "mqemitter",
      "mqemitter-*",
      "ioredis",
      "prom-client",
      "pino",
      "zod",
      "node:*",
    ],
    because: "another broker can take its place, so it knows topics and identities and no business",
  },
  {
    folder: "dashboards",
    mayImport: ["contract", "control-plane/rules"],
    packages: "any",
    because:
      "boards and alerts know metric names, which a root test holds against the code, and take their targets from the rules",
  },
  ...["start", "lab", "bench", "chaos", "simulate", "test", "docs"].map((folder) => ({
    folder,
    mayImport: ["every part"],
    packages: "any" as const,
    because: "it runs and examines the whole",
  })),
];

/** Tests, and what only tests use (a folder `testing/`): these may look into everything. */
export function isForTests(path: string): boolean {
  return path.endsWith(".test.ts") || path.split("/").includes("testing");
}

function findPart(path: string): Part | undefined {
  return parts.find((part) => folderWithin(part.folder, path) !== undefined);
}

/**
 * Judges one import of one file.
 *
 * @param path the importing file, below the root
 * @returns undefined when allowed, else a sentence: file, import, reason
 */
export function judgeImport(path: string, { specifier, typeOnly }: Import): string | undefined {
  if (isForTests(path) || !path.includes("/")) return undefined;
  const part = findPart(path);
  if (part === undefined)
    return `${path} (it imports "${specifier}") lies in no folder of test/house/import-table.ts: give it a row`;
  const refuse = (why: string) =>
    `${path} imports "${specifier}", but ${part.folder} ${why}: ${part.because}`;

  const target = resolveInside(path, specifier);
  if (target === undefined) {
    if (part.packages === "any" || part.packages.some((allowed) => nameFits(allowed, specifier)))
      return undefined;
    const listed = part.packages.join(", ");
    return refuse(listed === "" ? "may import no package" : `may import only the packages ${listed}`);
  }
  if (part.mayImport.includes("every part")) return undefined;
  if (isForTests(target)) return refuse("does not run on what is made for tests");
  const own = folderWithin(part.folder, path);
  if (own !== undefined && own === folderWithin(part.folder, target) && findPart(target) === part)
    return undefined;
  if (specifier.startsWith(".") && target.split("/")[0] !== path.split("/")[0]) {
    return refuse(`names other workspaces by package (@caas/${target}), not by a path`);
  }
  const targetPart = findPart(target)?.folder;
  if (targetPart !== undefined && part.mayImport.includes(targetPart)) return undefined;
  if (targetPart !== undefined && part.mayImport.includes(`type:${targetPart}`)) {
    return typeOnly ? undefined : refuse(`may import only types from ${targetPart} (import type)`);
  }
  return refuse(`may import only ${["its own files", ...part.mayImport].join(", ")}`);
}

/** The file below the root that is meant; undefined for a package or a `node:` module. */
function resolveInside(path: string, specifier: string): string | undefined {
  if (specifier.startsWith("@caas/")) return specifier.slice("@caas/".length);
  if (specifier.startsWith(".")) return posix.join(posix.dirname(path), specifier);
  return undefined;
}

/** `control-plane/features/orders` for that feature's files and the pattern `control-plane/features/*`. */
function folderWithin(pattern: string, path: string): string | undefined {
  const wanted = pattern.split("/");
  const segments = path.split("/");
  const fits = wanted.every((part, index) => segments[index] === part || part === "*");
  return fits && segments.length > wanted.length ? segments.slice(0, wanted.length).join("/") : undefined;
}

function nameFits(allowed: string, specifier: string): boolean {
  if (allowed.endsWith("*")) return specifier.startsWith(allowed.slice(0, -1));
  return specifier === allowed || specifier.startsWith(`${allowed}/`);
}
