import { availableParallelism, cpus, loadavg, release, totalmem, type } from "node:os";
import type { RunReport } from "../report/run-report.ts";

/** What the numbers of a run must be read with. */
export function describeMachine(): RunReport["machine"] {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 1024 ** 3),
    system: `${type()} ${release()}`,
    node: process.version,
    /** Of the last minute, the run's own included: well above the cores, other programs slow the run down. */
    load: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
}
