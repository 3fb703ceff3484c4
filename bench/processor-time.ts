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
  if (process.platform !== "linux") return null;
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The program's name stands in parentheses and may hold anything; the fields behind it are numbers.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const userTicks = Number(fields[11]);
  const kernelTicks = Number(fields[12]);
  return ((userTicks + kernelTicks) / readTicksPerSecond()) * 1e6;
}
