import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "@caas/contract/backoff.ts";
import { enrolmentPackageSchema } from "@caas/contract/enrolment.ts";
import { parseJson } from "@caas/contract/parse-json.ts";
import { type Logger, pino } from "pino";
import * as z from "zod";
import { openAdapters } from "./adapters/open-adapters.ts";
import { JournalLost, journalName } from "./change/journal.ts";
import { agentClock } from "./clock/agent-clock.ts";
import { type AgentConfig, ProgramError } from "./config.ts";
import { failAt, noFailpoint } from "./failpoints.ts";
import { answerJson, type LoopbackServer, serveOnLoopback, startHttpServer } from "./http.ts";
import { enrol } from "./identity/enrol.ts";
import { finishEnrolment } from "./identity/enrol-again.ts";
import { explainLoss } from "./identity/explain-loss.ts";
import {
  type CarIdentity,
  endIdentity,
  identityName,
  keySetFileName,
  loadIdentity,
} from "./identity/identity.ts";
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
    case "otherCar":
      throw new OtherCarsPackage(`${packageFile} does not belong here: ${result.detail}`);
    case "unreachable":
      throw new ProgramError(
        `the control plane at ${given.controlPlaneUrl} gave no answer: ${result.detail}`,
      );
  }
}

/** The folder or the file was named by mistake: to go on with either would be a guess. */
class OtherCarsPackage extends ProgramError {}

/** What the platform answers where staff issue another package. */
const wholeAnswerSchema = z.object({ package: enrolmentPackageSchema });

async function readPackage(file: string) {
  const text = await readFile(file, "utf8").catch(() => {
    throw new ProgramError(`cannot read the enrolment package ${file}`);
  });
  const given = parseJson(text);
  const parsed = enrolmentPackageSchema.safeParse(given);
  if (wholeAnswerSchema.safeParse(given).success)
    throw new ProgramError(
      `${file} is the platform's whole answer: the enrolment package is its "package" part, and only that belongs in the file`,
    );
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
  /** Called when the car has lost what proves it and waits for another package; `page` says so, too. */
  onNeedsEnrolment?: (needs: Need & { page: string | null }) => void;
};

/** Why the package at hand does not do, and why the car needs one. */
type Need = { reason: string; cause: string | null };

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
  const logger = pino(
    { level: options.config.LOG_LEVEL, base: undefined },
    pino.destination({ dest: 2, sync: true }),
  );
  for (;;) {
    const identity = await obtainIdentity(storage, options, logger);
    if (storage.damaged.length > 0)
      logger.error({ files: storage.damaged }, "damaged files were set aside; they are kept as *.damaged-n");
    if (identity === null || options.signal.aborted) return;
    try {
      return await drive(storage, identity, options, logger);
    } catch (error) {
      if (!(error instanceof JournalLost)) throw error;
      logger.error({ problem: error.message }, "the car has lost its memory, so its identity ends");
      await endIdentity(storage);
    }
  }
}

/** Whether the folder's car was enrolled once, even if it has no identity any more. */
async function wasEnrolled(storage: AgentStorage): Promise<boolean> {
  if (storage.damaged.length > 0) return true;
  for (const name of [keySetFileName, identityName, journalName])
    if ((await storage.read(name)) !== null) return true;
  return false;
}

/** The car's identity; `null` when `signal` ended the wait for one. @throws ProgramError for a car that never had one */
async function obtainIdentity(
  storage: AgentStorage,
  options: RunOptions,
  logger: Logger,
): Promise<CarIdentity | null> {
  const { packageFile, dataDir, signal } = options;
  await finishEnrolment(storage);
  const enrolled = await loadIdentity(storage);
  if (packageFile === undefined && enrolled !== null) return enrolled;
  const cause = enrolled === null ? await explainLoss(dataDir, storage) : null;
  const ask = async (): Promise<CarIdentity> => {
    if (packageFile === undefined)
      throw new ProgramError(
        cause === null
          ? `${dataDir} is not enrolled: name the enrolment package with --package`
          : `${dataDir} is not enrolled any more (${cause}): name another enrolment package with --package`,
      );
    return enrolStorage(storage, packageFile, signal);
  };
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof ProgramError) || error instanceof OtherCarsPackage) throw error;
    if (enrolled !== null) {
      // A package that is refused, or cannot be asked about, takes no car off the road.
      logger.warn({ problem: error.message }, "the car keeps the identity it has");
      return enrolled;
    }
    if (!(await wasEnrolled(storage))) throw error;
    return waitForPackage({ reason: error.message, cause }, ask, options, logger);
  }
}

/** From seconds to ten minutes, real time: a person brings another package. */
const packageBackoff = { firstMs: 5_000, longestMs: 600_000 };
const leastWaitMs = 1_000;

/** The car was enrolled and has lost what proves it: it stays up, says so, and tries its package again and again. */
async function waitForPackage(
  { reason: problem, cause }: Need,
  ask: () => Promise<CarIdentity>,
  { config, signal, onNeedsEnrolment }: RunOptions,
  logger: Logger,
): Promise<CarIdentity | null> {
  let reason = problem;
  const port = config.CAAS_AGENT_HTTP_PORT;
  const page =
    port === undefined
      ? null
      : await serveOnLoopback(port, async () => answerJson(503, { needsEnrolment: true, reason, cause }));
  onNeedsEnrolment?.({ reason, cause, page: page?.url ?? null });
  try {
    for (let attempt = 0; ; attempt += 1) {
      logger.error(
        { problem: reason, cause, page: page?.url },
        "the car must be enrolled again: staff issue another package",
      );
      const waitMs = leastWaitMs + backoffMs(attempt, Math.random, packageBackoff);
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return null;
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof ProgramError)) throw error;
        reason = error.message;
      }
    }
  } finally {
    await page?.close();
  }
}

async function drive(
  storage: AgentStorage,
  identity: CarIdentity,
  { config, signal, onReady }: RunOptions,
  logger: Logger,
): Promise<void> {
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
