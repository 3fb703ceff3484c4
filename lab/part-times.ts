import { readFileSync } from "node:fs";
import { listTree, readProcessorTime, unlessEnded } from "../start/processes.ts";

/** What the processes below this one are to the platform, by what their command line holds; the first that fits. */
const marks = [
  ["broker", "/broker/main.ts"],
  ["controlPlane", "/control-plane/main.ts"],
  ["partners", "/simulator/stand-ins/main.ts"],
  ["fleet", "/simulator/run/host-program.ts"],
  ["generator", "/bench/paid/buyers-program.ts"],
  ["postgres", "postgres"],
] as const;
/** `driver` is this process. */
export type Part = (typeof marks)[number][0] | "driver" | "other";
/** Processor time since each process began, in µs. */
export type PartTimes = Readonly<Record<Part, number>>;

/** Processor time of this process and everything below it, by part; `null` where there is no /proc. */
export function readPartTimes(): PartTimes | null {
  const tree = listTree(process.pid);
  if (tree === null) return null;
  const times = ofEachPart(() => 0);
  for (const pid of tree) {
    const part = pid === process.pid ? "driver" : partOf(pid);
    const time = unlessEnded(() => readProcessorTime(pid));
    times[part] += time?.own ?? 0;
    // A database session ends with its idle connection; what it cost must not be lost with it.
    if (part === "postgres") times.postgres += time?.ended ?? 0;
  }
  return times;
}

/** µs of each part between two readings, divided by `operations`. */
export function costOf(before: PartTimes | null, after: PartTimes | null, operations: number) {
  if (before === null || after === null || operations === 0) return null;
  return ofEachPart((part) => Math.round((after[part] - before[part]) / operations));
}

function ofEachPart(read: (part: Part) => number): Record<Part, number> {
  return {
    broker: read("broker"),
    controlPlane: read("controlPlane"),
    postgres: read("postgres"),
    partners: read("partners"),
    fleet: read("fleet"),
    generator: read("generator"),
    driver: read("driver"),
    other: read("other"),
  };
}

function partOf(pid: number): Part {
  const command = unlessEnded(() => readFileSync(`/proc/${pid}/cmdline`, "utf8")) ?? "";
  return marks.find(([, mark]) => command.includes(mark))?.[0] ?? "other";
}
