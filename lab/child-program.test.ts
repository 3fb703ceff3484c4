import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, test, vi } from "vitest";
import { listTree, readStat, unlessEnded } from "../start/processes.ts";

const bench = fileURLToPath(new URL("../bench/main.ts", import.meta.url));

/** The programs of these processes that still run; one that only waits to be collected does not. */
function listRunning(pids: Iterable<number>): string[] {
  return [...pids].flatMap((pid) => {
    const state = unlessEnded(() => readStat(pid)[0]);
    const command = unlessEnded(() => readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " "));
    return state === undefined || state === "Z" || command === undefined ? [] : [command];
  });
}

test.runIf(process.platform === "linux")(
  "a benchmark that is killed leaves no broker behind, neither ours nor one of another project",
  { timeout: 120_000 },
  async () => {
    const args = ["broker", "--rows", "messages", "--pairs", "1", "--seconds", "0.1", "--clients", "5"];
    const run = spawn(process.execPath, [bench, ...args, "--many", "5"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    // All brokers serve when the first row is told.
    for await (const line of createInterface({ input: run.stdout }))
      if (line.startsWith("  fan-in, QoS 0")) break;
    const tree = [...(listTree(run.pid ?? 0) ?? [])].filter((pid) => pid !== run.pid);
    const brokers = listRunning(tree).filter((command) => /broker|aedes|mosquitto/.test(command));
    expect(brokers.length).toBeGreaterThanOrEqual(2);
    run.kill("SIGKILL");
    await vi.waitFor(() => expect(listRunning(tree)).toEqual([]), { timeout: 30_000 });
  },
);
