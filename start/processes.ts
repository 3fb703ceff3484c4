import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

// What processes cost, from Linux's /proc. Everything is `null` on another system.

/** In bytes. `pss`: shared pages are divided among the processes that share them. `peak`: the most that was ever resident. */
export type ProcessMemory = { rss: number; pss: number; peak: number };

/** @throws Error when there is no such process */
export function readProcessMemory(pid: number): ProcessMemory | null {
  if (process.platform !== "linux") return null;
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return {
    rss: readKilobytes(status, "VmRSS"),
    peak: readKilobytes(status, "VmHWM"),
    pss: readKilobytes(rollup, "Pss"),
  };
}

function readKilobytes(text: string, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1];
  if (found === undefined) throw new Error(`the system does not say ${name}`);
  return Number(found) * 1024;
}

/** In µs, user and kernel together, in steps of a clock tick (usually 10 ms). */
export type ProcessorTime = {
  /** Of the process, all threads. */
  own: number;
  /** Of its children that have ended and were waited for, and of theirs. */
  ended: number;
};

/** @throws Error when there is no such process */
export function readProcessorTime(pid: number): ProcessorTime | null {
  if (process.platform !== "linux") return null;
  const [userTicks = 0, kernelTicks = 0, endedUserTicks = 0, endedKernelTicks = 0] = readStat(pid)
    .slice(11, 15)
    .map(Number);
  const toUs = (ticks: number): number => (ticks / readTicksPerSecond()) * 1e6;
  return { own: toUs(userTicks + kernelTicks), ended: toUs(endedUserTicks + endedKernelTicks) };
}

let ticksPerSecond: number | null = null;

function readTicksPerSecond(): number {
  ticksPerSecond ??= Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
  return ticksPerSecond;
}

/** A process and everything below it. */
export function listTree(root: number): Set<number> | null {
  if (process.platform !== "linux") return null;
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = unlessEnded(() => readStat(Number(entry))[1]);
    if (parent !== undefined) parents.set(Number(entry), Number(parent));
  }
  const tree = new Set([root]);
  // Children have higher numbers than their parents only until numbers wrap: repeat until nothing is added.
  for (let size = 0; size !== tree.size; ) {
    size = tree.size;
    for (const [pid, parent] of parents) if (tree.has(parent)) tree.add(pid);
  }
  return tree;
}

export type TreeMemory = { processes: number; pssBytes: number };

/** A child that changed its user counts where we may read it (root may). */
export function measureTree(root: number): TreeMemory | null {
  const tree = listTree(root);
  if (tree === null) return null;
  const sizes = [...tree].flatMap((pid) => unlessEnded(() => readProcessMemory(pid)) ?? []);
  return { processes: sizes.length, pssBytes: sizes.reduce((sum, { pss }) => sum + pss, 0) };
}

/** What `read` finds out about a process; `undefined` when the process has ended meanwhile. */
export function unlessEnded<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/**
 * The fields of proc(5)'s stat from the third on (state, parent, …): the second is the program's name in parentheses
 * and may hold anything.
 */
export function readStat(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}
