import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

let ticksPerSecond: number | null = null;

function readTicksPerSecond(): number {
  ticksPerSecond ??= Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
  return ticksPerSecond;
}

/**
 * Processor time that a process has used in all its threads, in µs, user and kernel; in steps of a clock tick,
 * usually 10 ms. `null` where there is no /proc.
 * @throws Error when there is no such process.
 */
export function processorUsOf(pid: number): number | null {
  return readTimes(pid)?.ownUs ?? null;
}

/** The same, of the children that have ended and were waited for, and of theirs. */
export function processorUsOfEnded(pid: number): number | null {
  return readTimes(pid)?.endedUs ?? null;
}

function readTimes(pid: number): { ownUs: number; endedUs: number } | null {
  if (process.platform !== "linux") return null;
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The program's name stands in parentheses and may hold anything; the fields behind it are numbers.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [userTicks = 0, kernelTicks = 0, endedUserTicks = 0, endedKernelTicks = 0] = fields
    .slice(11, 15)
    .map(Number);
  const toUs = (ticks: number): number => (ticks / readTicksPerSecond()) * 1e6;
  return { ownUs: toUs(userTicks + kernelTicks), endedUs: toUs(endedUserTicks + endedKernelTicks) };
}
