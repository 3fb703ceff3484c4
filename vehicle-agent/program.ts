import { readFile } from "node:fs/promises";
import { enrolmentPackageSchema } from "@caas/contract/enrolment.ts";
import { parseJson } from "@caas/contract/parse-json.ts";
import { pino } from "pino";
import * as z from "zod";
import { openAdapters } from "./adapters/open-adapters.ts";
import { agentClock } from "./clock/agent-clock.ts";
import { type AgentConfig, ProgramError } from "./config.ts";
import { failAt, noFailpoint } from "./failpoints.ts";
import { type LoopbackServer, startHttpServer } from "./http.ts";
import { enrol } from "./identity/enrol.ts";
import { type CarIdentity, loadIdentity } from "./identity/identity.ts";
import { createAgentMetrics } from "./metrics.ts";
import { openAgent } from "./open-agent.ts";
import { type FolderLock, lockFolder } from "./storage/folder-lock.ts";
import { type AgentStorage, openDirectoryStorage } from "./storage/storage.ts";

/** Enrols the folder unless it is enrolled. */
export async function enrolFolder(
  dataDir: string,
  packageFile: string,
  signal: AbortSignal,
): Promise<CarIdentity> {
  const storage = await openFolder(dataDir);
  const lock = await takeLock(dataDir);
  try {
    return await enrolStorage(storage, packageFile, signal);
  } finally {
    await lock.release();
  }
}

/** @throws ProgramError where the file system refuses the folder, or a file in it is another user's */
async function openFolder(dataDir: string): Promise<AgentStorage> {
  try {
    return await openDirectoryStorage(dataDir);
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    throw new ProgramError(`the car's folder ${dataDir} cannot be used: ${error.message}`);
  }
}

async function takeLock(dataDir: string): Promise<FolderLock> {
  const lock = await lockFolder(dataDir);
  if (lock === null) throw new ProgramError(`${dataDir} is in use by another agent`);
  return lock;
}

async function enrolStorage(
  storage: AgentStorage,
  packageFile: string,
  signal: AbortSignal,
): Promise<CarIdentity> {
  const given = await readPackage(packageFile);
  const result = await enrol({ package: given, storage, random: Math.random, signal });
  switch (result.kind) {
    case "enrolled":
      return result.identity;
    case "refused":
      throw new ProgramError(`enrolment was refused (${result.status}): ${result.detail}`);
    case "unreachable":
      throw new ProgramError(
        `the control plane at ${given.controlPlaneUrl} gave no answer: ${result.detail}`,
      );
  }
}

async function readPackage(file: string) {
  const text = await readFile(file, "utf8").catch(() => {
    throw new ProgramError(`cannot read the enrolment package ${file}`);
  });
  const parsed = enrolmentPackageSchema.safeParse(parseJson(text));
  if (!parsed.success) throw new ProgramError(`${file}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

export type RunOptions = {
  config: AgentConfig;
  dataDir: string;
  packageFile: string | undefined;
  /** Ends the run. */
  signal: AbortSignal;
  /** Called once, when the broker has taken the first report. */
  onReady: (ready: { vin: string; addresses: { http?: string; local?: string } }) => void;
};

/**
 * Runs the agent of one car until `signal`; resolves when it has disconnected.
 * @throws ProgramError where another agent has the folder, or enrolment does not succeed.
 */
export async function runAgent(options: RunOptions): Promise<void> {
  const storage = await openFolder(options.dataDir);
  const lock = await takeLock(options.dataDir);
  try {
    await runLocked(storage, options);
  } finally {
    await lock.release();
  }
}

async function runLocked(storage: AgentStorage, options: RunOptions): Promise<void> {
  const { config, dataDir, packageFile, signal, onReady } = options;
  const logger = pino(
    { level: config.LOG_LEVEL, base: undefined },
    pino.destination({ dest: 2, sync: true }),
  );
  const enrolled = await loadIdentity(storage);
  if (enrolled === null && packageFile === undefined)
    throw new ProgramError(`${dataDir} is not enrolled: name the enrolment package with --package`);
  const identity = enrolled ?? (await enrolStorage(storage, packageFile ?? "", signal));
  if (signal.aborted) return;
  const metrics = createAgentMetrics();
  const crashAt = config.CAAS_AGENT_CRASH_AT;
  const clock = agentClock(config.CAAS_BUSINESS_TIME);
  const failpoint =
    crashAt === undefined ? noFailpoint : failAt(crashAt, () => process.kill(process.pid, "SIGKILL"));
  const adapters = await openAdapters(config, (app, what) =>
    logger.warn({ app, what }, "an app was refused at the local port"),
  );
  const agent = openAgent({
    identity,
    storage,
    brokerUrl: config.CAAS_AGENT_BROKER_URL,
    adapter: adapters.adapter,
    clock,
    logger,
    metrics,
    failpoint,
  });
  const ended = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const addresses: { http?: string; local?: string } = {};
  if (adapters.url !== null) addresses.local = adapters.url;
  let http: LoopbackServer | null = null;
  agent.once("connected", () => onReady({ vin: identity.vin, addresses }));
  try {
    await agent.start();
    const port = config.CAAS_AGENT_HTTP_PORT;
    if (port !== undefined) {
      http = await startHttpServer(port, agent, metrics);
      addresses.http = http.url;
    }
    await ended;
  } finally {
    await http?.close();
    await agent.stop();
    await adapters.close();
  }
}
