import { canonicalJson, type Json } from "@caas/contract/canonical-json.ts";
import type { CarAdapter } from "./adapter.ts";
import { runCommand } from "./run-command.ts";

/** Longer than a control unit takes to store a configuration; the health check comes after it. */
const applyTimeoutMs = 60_000;

/**
 * Passes the complete active configuration to a program (run by the shell) on its standard input, as one line of
 * canonical JSON `{"entries":[{code,configuration,id,term}],"hash":…,"version":…}`: after every switch and at
 * every boot, so it must accept the same one again. Exit code 0 means taken; the end of its standard
 * error becomes the detail of the failure.
 */
export function createProgramAdapter(options: { command: string; timeoutMs?: number }): CarAdapter {
  const { command, timeoutMs = applyTimeoutMs } = options;
  return {
    async apply({ version, hash, entries, directory }) {
      const content: Json = {
        version,
        hash,
        entries: entries.map(({ id, code, configuration, term }) => ({ id, code, configuration, term })),
      };
      const ending = await runCommand({
        command,
        environment: { CAAS_CONFIGURATION_DIR: directory ?? "" },
        input: `${canonicalJson(content)}\n`,
        timeoutMs,
      });
      if (!ending.ok) throw new Error(`the program said: ${ending.detail}`);
    },
    probe: async () => ({ healthy: true }),
  };
}
