import { availableParallelism, cpus, release, totalmem, type } from "node:os";
import type { RunReport } from "../report/run-report.ts";

/** What the numbers of a run must be read with. */
export function describeMachine(): RunReport["machine"] {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 1024 ** 3),
    system: `${type()} ${release()}`,
    node: process.version,
  };
}
