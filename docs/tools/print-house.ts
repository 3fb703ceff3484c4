import { execFileSync } from "node:child_process";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

const help = `Prints how many lines the product has, room by room, with those of its tests apart.

usage: npm run house -- [options]

  --at REV   compares with a revision, as HEAD~20 or main
  --json     one JSON object as the last line of the output
  --help     this text

Counted are tracked .ts, .liquid, .yaml, .yml and .sh files, as they are in the working tree. Tests are *.test.ts,
and what is in a folder testing/ or in test/. The generated REST client is left out.
Ends with 2 when an option or the revision is not known.
`;

const counted = ["*.ts", "*.liquid", "*.yaml", "*.yml", "*.sh"];
const generated = new Set(["contract/client/generated.ts"]);
/** Folders whose own folders are rooms. */
const divided = new Set(["control-plane", "control-plane/features"]);

export type Lines = { product: number; tests: number };

/** Lines by room, in alphabetical order. */
export type House = ReadonlyMap<string, Lines>;

/** The room of a tracked file: its top folder, in the control plane a room of it or a feature. */
export function roomOf(path: string): string {
  const folders = path.split("/").slice(0, -1);
  let depth = 1;
  while (depth < folders.length && divided.has(folders.slice(0, depth).join("/"))) depth += 1;
  return folders.length === 0 ? "(root)" : folders.slice(0, depth).join("/");
}

export function isTest(path: string): boolean {
  return path.endsWith(".test.ts") || path.startsWith("test/") || path.split("/").includes("testing");
}

/** @param files paths of tracked files with their lines */
export function countHouse(files: readonly { path: string; lines: number }[]): House {
  const house = new Map<string, Lines>();
  for (const { path, lines } of files.toSorted((one, other) => (one.path < other.path ? -1 : 1))) {
    if (generated.has(path)) continue;
    const { product, tests } = house.get(roomOf(path)) ?? { product: 0, tests: 0 };
    house.set(
      roomOf(path),
      isTest(path) ? { product, tests: tests + lines } : { product: product + lines, tests },
    );
  }
  return new Map([...house].toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

export function sum(house: House): Lines {
  const rooms = [...house.values()];
  return {
    product: rooms.reduce((total, { product }) => total + product, 0),
    tests: rooms.reduce((total, { tests }) => total + tests, 0),
  };
}

/** Numbers to the right; with `former` beside it, what the product had then and what it gained. */
export function renderHouse(house: House, former?: { at: string; house: House }): string {
  const none: Lines = { product: 0, tests: 0 };
  const rooms = [...new Set([...house.keys(), ...(former?.house.keys() ?? [])])].toSorted();
  const row = (room: string, now: Lines, then: Lines): string[] => [
    room,
    String(now.product),
    String(now.tests),
    ...(former === undefined
      ? []
      : [String(then.product), `${now.product > then.product ? "+" : ""}${now.product - then.product}`]),
  ];
  const rows = [
    ["room", "product", "tests", ...(former === undefined ? [] : [`at ${former.at}`, "difference"])],
    ...rooms.map((room) => row(room, house.get(room) ?? none, former?.house.get(room) ?? none)),
    row("total", sum(house), former === undefined ? none : sum(former.house)),
  ];
  const width = (column: number) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0));
  return `${rows
    .map(([room = "", ...cells]) =>
      [room.padEnd(width(0)), ...cells.map((cell, index) => cell.padStart(width(index + 1)))].join("  "),
    )
    .join("\n")}\n`;
}

/** @param revision as git knows it; without one, the working tree */
function readFiles(root: string, revision?: string): { path: string; lines: number }[] {
  const args = ["grep", "--count", "-I", "-e", "", ...(revision === undefined ? [] : [revision]), "--"];
  const output = execFileSync("git", [...args, ...counted], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const prefix = revision === undefined ? "" : `${revision}:`;
  return output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => ({
      path: line.slice(prefix.length, line.lastIndexOf(":")),
      lines: Number(line.slice(line.lastIndexOf(":") + 1)),
    }));
}

function asObject(house: House) {
  return { rooms: Object.fromEntries(house), total: sum(house) };
}

function main(args: readonly string[]): 0 | 2 {
  const root = resolve(import.meta.dirname, "../..");
  const options = { help: { type: "boolean" }, json: { type: "boolean" }, at: { type: "string" } } as const;
  try {
    const { values } = parseArgs({ args: [...args], options });
    if (values.help === true) {
      process.stdout.write(help);
      return 0;
    }
    const house = countHouse(readFiles(root));
    const { at } = values;
    const former = at === undefined ? undefined : { at, house: countHouse(readFiles(root, at)) };
    process.stdout.write(renderHouse(house, former));
    if (values.json === true) {
      const compared = former === undefined ? {} : { former: { at: former.at, ...asObject(former.house) } };
      process.stdout.write(`${JSON.stringify({ ...asObject(house), ...compared })}\n`);
    }
    return 0;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${help}`);
    return 2;
  }
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
