import { readdirSync, readFileSync } from "node:fs";

/** Proportional set size: shared pages count once, divided among those who share them. */
export type TreeMemory = { processes: number; pssBytes: number };

/**
 * Memory of a process and everything below it, from Linux's `/proc`. A child that changed its user is counted
 * where we may read it (root may).
 * @returns null where there is no such information (another system)
 */
export function measureTree(rootPid: number): TreeMemory | null {
  const parents = readParents();
  if (parents === null) return null;
  const inTree = new Set([rootPid]);
  // Children have higher numbers than their parents only until numbers wrap: so until nothing is added.
  for (let size = -1; size !== inTree.size; ) {
    size = inTree.size;
    for (const [pid, parent] of parents) if (inTree.has(parent)) inTree.add(pid);
  }
  let pssBytes = 0;
  let processes = 0;
  for (const pid of inTree) {
    const bytes = readPss(pid);
    if (bytes === null) continue;
    processes += 1;
    pssBytes += bytes;
  }
  return { processes, pssBytes };
}

function readParents(): Map<number, number> | null {
  let entries: string[];
  try {
    entries = readdirSync("/proc");
  } catch {
    return null;
  }
  const parents = new Map<number, number>();
  for (const entry of entries) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      // The name in parentheses may hold anything, so fields are counted from its end.
      const parent = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
      if (parent !== undefined) parents.set(Number(entry), Number(parent));
    } catch {
      // Ended between listing and reading.
    }
  }
  return parents;
}

function readPss(pid: number): number | null {
  try {
    const kib = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1];
    return kib === undefined ? null : Number(kib) * 1024;
  } catch {
    return null;
  }
}
