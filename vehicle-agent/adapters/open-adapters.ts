import { readFile } from "node:fs/promises";
import { parseJson } from "@caas/contract/parse-json.ts";
import * as z from "zod";
import { type AgentConfig, ProgramError } from "../config.ts";
import type { CarAdapter } from "./adapter.ts";
import { combineAdapters } from "./combined-adapter.ts";
import { createDirectoryAdapter } from "./directory-adapter.ts";
import { type LocalApp, localAppsSchema } from "./local-apps.ts";
import type { LocalPort, startLocalPort } from "./local-port.ts";
import { createProgramAdapter } from "./program-adapter.ts";

export type OpenAdapters = {
  adapter: CarAdapter;
  /** Of the local port, if there is one. */
  url: string | null;
  close(): Promise<void>;
};

/**
 * The adapters that the environment names, in this order: the program, the local port, the folder with its probe,
 * which is always there.
 * @throws ProgramError where the list of apps cannot be read.
 */
export async function openAdapters(
  config: Pick<
    AgentConfig,
    | "CAAS_AGENT_APPLY_COMMAND"
    | "CAAS_AGENT_LOCAL_PORT"
    | "CAAS_AGENT_LOCAL_APPS_FILE"
    | "CAAS_AGENT_PROBE_COMMAND"
  >,
  onRefused: (app: string, what: string) => void,
): Promise<OpenAdapters> {
  const command = config.CAAS_AGENT_APPLY_COMMAND;
  const port = config.CAAS_AGENT_LOCAL_PORT;
  const apps = await readApps(config.CAAS_AGENT_LOCAL_APPS_FILE);
  const localPort = port === undefined ? null : await openLocalPort({ port, apps, onRefused });
  const adapter = combineAdapters([
    ...(command === undefined ? [] : [createProgramAdapter({ command })]),
    ...(localPort === null ? [] : [localPort]),
    createDirectoryAdapter({ probeCommand: config.CAAS_AGENT_PROBE_COMMAND }),
  ]);
  return {
    adapter,
    url: localPort?.url ?? null,
    close: async () => localPort?.close(),
  };
}

/** A broker is loaded only into a car that needs one. */
async function openLocalPort(options: Parameters<typeof startLocalPort>[0]): Promise<LocalPort> {
  const { startLocalPort } = await import("./local-port.ts");
  return startLocalPort(options);
}

async function readApps(file: string | undefined): Promise<LocalApp[]> {
  if (file === undefined) return [];
  const text = await readFile(file, "utf8").catch(() => {
    throw new ProgramError(`cannot read the list of apps ${file}`);
  });
  const parsed = localAppsSchema.safeParse(parseJson(text));
  if (!parsed.success) throw new ProgramError(`${file}: ${z.prettifyError(parsed.error)}`);
  return parsed.data.apps;
}
