import { readFileSync } from "node:fs";

/** In bytes. `peak` is the most that was ever resident. */
export type ProcessMemory = { rss: number; pss: number; peak: number };

/**
 * Memory of one process, from Linux's `/proc`.
 * @returns null where there is no such information (another system)
 * @throws Error when there is no such process.
 */
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
