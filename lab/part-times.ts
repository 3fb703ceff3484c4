import { readdirSync, readFileSync } from "node:fs";
import { processorUsOf, processorUsOfEnded } from "./processor-time.ts";

/** What the processes below this one are to the platform. */
export type Part =
  | "broker"
  | "controlPlane"
  | "postgres"
  | "partners"
  | "fleet"
  | "generator"
  | "driver"
  | "other";
/** Processor time since each process began, in µs. */
export type PartTimes = Readonly<Record<Part, number>>;

const marks: readonly (readonly [Part, string])[] = [
  ["broker", "/broker/main.ts"],
  ["controlPlane", "/control-plane/main.ts"],
  ["partners", "/simulator/stand-ins/main.ts"],
  ["fleet", "/bench/fleet-program.ts"],
  ["fleet", "/simulator/run/host-program.ts"],
  ["generator", "/bench/paid/buyers-program.ts"],
  ["postgres", "postgres"],
];

/** Processor time of this process and everything below it, by part; `null` where there is no /proc. */
export function readPartTimes(): PartTimes | null {
  if (process.platform !== "linux") return null;
  const times: Record<Part, number> = {
    broker: 0,
    controlPlane: 0,
    postgres: 0,
    partners: 0,
    fleet: 0,
    generator: 0,
    driver: 0,
    other: 0,
  };
  for (const pid of listTree(process.pid)) {
    const part = pid === process.pid ? "driver" : partOf(pid);
    try {
      times[part] += processorUsOf(pid) ?? 0;
      // A session of the database ends with its idle connection, and what it cost must not end with it.
      if (part === "postgres") times.postgres += processorUsOfEnded(pid) ?? 0;
    } catch {
      // Ended between listing and reading.
    }
  }
  return times;
}

/** µs of each part between two readings, divided among `operations`. */
export function costOf(before: PartTimes | null, after: PartTimes | null, operations: number) {
  if (before === null || after === null || operations === 0) return null;
  const per = (part: Part) => Math.round((after[part] - before[part]) / operations);
  return {
    broker: per("broker"),
    controlPlane: per("controlPlane"),
    postgres: per("postgres"),
    partners: per("partners"),
    fleet: per("fleet"),
    generator: per("generator"),
    driver: per("driver"),
    other: per("other"),
  };
}

function partOf(pid: number): Part {
  const command = readText(`/proc/${pid}/cmdline`);
  return marks.find(([, mark]) => command.includes(mark))?.[0] ?? "other";
}

/** A process and everything below it. */
export function listTree(root: number): Set<number> {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const text = readText(`/proc/${entry}/stat`);
    // The name in parentheses may hold anything, so fields are counted from its end.
    const parent = text.slice(text.lastIndexOf(")") + 2).split(" ")[1];
    if (parent !== undefined) parents.set(Number(entry), Number(parent));
  }
  const tree = new Set([root]);
  for (let size = 0; size !== tree.size; ) {
    size = tree.size;
    for (const [pid, parent] of parents) if (tree.has(parent)) tree.add(pid);
  }
  return tree;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
