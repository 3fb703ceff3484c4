#!/usr/bin/env node
import { mkdirSync, watch } from "node:fs";
import { join } from "node:path";
import { explainVariables } from "@caas/contract/explain-variables.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { wordsOf } from "@caas/simulator/command/run.ts";
import { createDirectoryAdapter } from "@caas/vehicle-agent/adapters/directory-adapter.ts";
import type { Agent } from "@caas/vehicle-agent/agent.ts";
import { JournalLost } from "@caas/vehicle-agent/change/journal.ts";
import { agentClock } from "@caas/vehicle-agent/clock/agent-clock.ts";
import { answerJson, answerMetrics, serveOnLoopback } from "@caas/vehicle-agent/http.ts";
import { finishEnrolment } from "@caas/vehicle-agent/identity/enrol-again.ts";
import { explainLoss } from "@caas/vehicle-agent/identity/explain-loss.ts";
import { endIdentity, loadIdentity } from "@caas/vehicle-agent/identity/identity.ts";
import { createAgentMetrics } from "@caas/vehicle-agent/metrics.ts";
import { openAgent } from "@caas/vehicle-agent/open-agent.ts";
import { enrolFolder } from "@caas/vehicle-agent/program.ts";
import { openDirectoryStorage } from "@caas/vehicle-agent/storage/storage.ts";
import { pino } from "pino";
import * as z from "zod";
import { listCars, packageFileName } from "./car-folders.ts";
import type { CarsStatus } from "./cars-status.ts";

// The demonstration's cars, all but the story's: many agents in one process, a folder each. A folder that
// appears later (a car just built) comes up as well.

const environmentSchema = z.object({
  DEMO_CARS_FOLDER: z.string().min(1),
  /** Replaces the broker's address that enrolment gave. */
  DEMO_CARS_BROKER_URL: z.url({ protocol: /^mqtts?$/ }).optional(),
  /** Loopback port of /metrics and /health of all of them together. */
  DEMO_CARS_HTTP_PORT: z.coerce.number().int().min(0).max(65_535).default(0),
  CAAS_BUSINESS_TIME: z.string().optional(),
  LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
});

/** Cars that start at once: more only fight for the processor. */
const startedAtOnce = 6;
/** A broker that is away must not keep the rest waiting: the cars go on trying by themselves. */
const comingUpTimeoutMs = 10_000;

async function run(): Promise<void> {
  const config = environmentSchema.parse(process.env);
  const folder = config.DEMO_CARS_FOLDER;
  const logger = pino({ level: config.LOG_LEVEL, base: undefined }, pino.destination(2));
  const metrics = createAgentMetrics();
  const stopping = new AbortController();
  const agents = new Map<Vin, Agent>();
  const known = new Set<Vin>();
  /** Those whose agent has started and can be asked about its state. */
  const started = new Set<Vin>();
  const off = new Map<Vin, CarsStatus["off"][number]>();

  async function bringUp(vin: Vin): Promise<void> {
    const carFolder = join(folder, vin);
    await enrolFolder(carFolder, join(carFolder, packageFileName), stopping.signal);
    const storage = await openDirectoryStorage(carFolder);
    const identity = await loadIdentity(storage);
    if (identity === null) throw new Error(`${carFolder} holds no identity after its enrolment`);
    const agent = openAgent({
      identity,
      storage,
      brokerUrl: config.DEMO_CARS_BROKER_URL,
      adapter: createDirectoryAdapter(),
      clock: agentClock(config.CAAS_BUSINESS_TIME),
      logger,
      metrics,
    });
    if (stopping.signal.aborted) return;
    agents.set(vin, agent);
    const connected = new Promise<void>((resolve) => agent.once("connected", () => resolve()));
    await agent.start();
    started.add(vin);
    await connected;
  }

  /** A car that does not come up is said to be off, and why: what it lacks is not found out later any more. */
  async function tryToBringUp(vin: Vin): Promise<void> {
    const storage = await openDirectoryStorage(join(folder, vin));
    await finishEnrolment(storage);
    const identityBefore = await loadIdentity(storage);
    const loss = identityBefore === null ? await explainLoss(join(folder, vin), storage) : null;
    // Said while its package is still being tried, too: that may take a minute.
    if (loss !== null)
      off.set(vin, { vin, why: `it has no identity any more (${loss})`, needsEnrolment: true });
    try {
      await bringUp(vin);
      off.delete(vin);
    } catch (error) {
      if (stopping.signal.aborted) return;
      logger.error({ err: error, vin, loss }, "a car did not come up");
      if (error instanceof JournalLost) await endIdentity(storage);
      const failed = agents.get(vin);
      agents.delete(vin);
      const why = loss === null ? wordsOf(error) : `${wordsOf(error)} (${loss})`;
      off.set(vin, { vin, why, needsEnrolment: (await loadIdentity(storage)) === null });
      await failed?.stop();
    }
  }

  function status(): CarsStatus {
    const connected = [...started].filter((vin) => agents.get(vin)?.state().connected === true);
    return { cars: known.size, connected: connected.length, off: [...off.values()] };
  }

  /** Brings up every car that has a folder and is not up yet. */
  async function bringUpNew(): Promise<void> {
    const waiting = listCars(folder).filter((vin) => !known.has(vin));
    for (const vin of waiting) known.add(vin);
    const work = async () => {
      for (let vin = waiting.shift(); vin !== undefined; vin = waiting.shift())
        await tryToBringUp(vin).catch((error: unknown) => {
          logger.error({ err: error, vin }, "a car did not come up");
          off.set(vin, { vin, why: wordsOf(error), needsEnrolment: false });
        });
    };
    await Promise.all(Array.from({ length: startedAtOnce }, work));
  }

  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const watcher = watch(folder, () => void bringUpNew());
  const server = await serveOnLoopback(config.DEMO_CARS_HTTP_PORT, async (path) => {
    if (path === "/metrics") return answerMetrics(metrics.registry);
    return answerJson(200, status());
  });
  const stop = async () => {
    if (stopping.signal.aborted) return;
    stopping.abort();
    watcher.close();
    await server.close();
    await Promise.all([...agents.values()].map((agent) => agent.stop()));
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT", "disconnect"]) process.once(signal, () => void stop());

  await Promise.race([
    bringUpNew(),
    new Promise((resolve) => setTimeout(resolve, comingUpTimeoutMs).unref()),
  ]);
  const addresses = { http: server.url, cars: String(agents.size) };
  process.stdout.write(`${JSON.stringify({ ready: true, addresses })}\n`);
}

if (import.meta.main) {
  run().catch((error: unknown) => {
    const words =
      error instanceof z.ZodError
        ? explainVariables(error, process.env).join("\n  ")
        : error instanceof Error
          ? error.message
          : String(error);
    process.stderr.write(`demo cars: ${words}\n`);
    process.exit(1);
  });
}
