import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { readStat } from "../processes.ts";

/**
 * What identifies a process: numbers are reused, so a lock names the start time too.
 * `startMark` is only ever compared for equality (Linux: clock ticks since boot, elsewhere what `ps` prints).
 */
export type ProcessIdentity = { pid: number; startMark: string; host: string; bootId: string };

/** @returns the start mark of a live process; undefined when there is none, or only its unreaped remains. */
export function readStartMark(pid: number): string | undefined {
  if (process.platform === "linux") {
    try {
      const [state, ...rest] = readStat(pid);
      return state === "Z" || state === "X" ? undefined : rest[18];
    } catch {
      return undefined;
    }
  }
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim() || undefined;
  } catch {
    return undefined;
  }
}

export function identifyThisProcess(): ProcessIdentity {
  const startMark = readStartMark(process.pid) ?? "unknown";
  return { pid: process.pid, startMark, host: hostname(), bootId: readBootId() };
}

/** Changes with every boot of the machine; empty where the system does not tell. */
function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}
