import { spawn } from "node:child_process";
import type { CarAdapter } from "./adapter.ts";

/** A program that has not answered by then is as good as unhealthy. */
const probeTimeoutMs = 30_000;

/**
 * The configuration folder is the interface: the car's programs read `active`, so there is nothing to do on
 * `apply`. With a `probeCommand` (run by the shell, with `CAAS_CONFIGURATION_DIR` naming the active slot)
 * exit code 0 means healthy; without one the car is healthy when its configuration reads back right.
 */
export function createDirectoryAdapter(options: { probeCommand?: string | undefined } = {}): CarAdapter {
  let directory: string | null = null;
  return {
    async apply(configuration) {
      directory = configuration.directory;
    },
    async probe() {
      if (options.probeCommand === undefined) return { healthy: true };
      return runProbe(options.probeCommand, directory ?? "");
    },
  };
}

function runProbe(
  command: string,
  directory: string,
): Promise<{ healthy: true } | { healthy: false; reason: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, {
      shell: true,
      stdio: ["ignore", "ignore", "pipe"],
      timeout: probeTimeoutMs,
      killSignal: "SIGKILL",
      env: { ...process.env, CAAS_CONFIGURATION_DIR: directory },
    });
    let words = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      words = (words + chunk).slice(0, 300);
    });
    child.on("error", (error) => resolve({ healthy: false, reason: error.message }));
    child.on("close", (code, signal) => {
      if (code === 0) return resolve({ healthy: true });
      const ending = signal === null ? `exit code ${code}` : `ended by ${signal}`;
      resolve({ healthy: false, reason: `the probe said: ${words.trim() || ending}` });
    });
  });
}
