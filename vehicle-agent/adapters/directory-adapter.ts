import type { CarAdapter } from "./adapter.ts";
import { runCommand } from "./run-command.ts";

/** A program that has not answered by then counts as unhealthy. */
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
      const ending = await runCommand({
        command: options.probeCommand,
        environment: { CAAS_CONFIGURATION_DIR: directory ?? "" },
        timeoutMs: probeTimeoutMs,
      });
      return ending.ok ? { healthy: true } : { healthy: false, reason: `the probe said: ${ending.detail}` };
    },
  };
}
