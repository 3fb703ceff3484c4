#!/usr/bin/env node
import { mkdirSync, watch } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import type { Vin } from "@caas/contract/vin.ts";
import { createDirectoryAdapter } from "@caas/vehicle-agent/adapters/directory-adapter.ts";
import { type Agent, createAgent } from "@caas/vehicle-agent/agent.ts";
import { agentClock } from "@caas/vehicle-agent/clock/agent-clock.ts";
import { createCertificateKeeper } from "@caas/vehicle-agent/identity/certificate-keeper.ts";
import { loadIdentity } from "@caas/vehicle-agent/identity/identity.ts";
import { createMqttTransport } from "@caas/vehicle-agent/link/mqtt-transport.ts";
import { createAgentMetrics } from "@caas/vehicle-agent/metrics.ts";
import { enrolFolder } from "@caas/vehicle-agent/program.ts";
import { openDirectoryStorage } from "@caas/vehicle-agent/storage/storage.ts";
import { pino } from "pino";
import * as z from "zod";
import { listCars, packageFileName } from "./car-folders.ts";

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

  async function bringUp(vin: Vin): Promise<void> {
    const carFolder = join(folder, vin);
    await enrolFolder(carFolder, join(carFolder, packageFileName), stopping.signal);
    const storage = await openDirectoryStorage(carFolder);
    const identity = await loadIdentity(storage);
    if (identity === null) throw new Error(`${carFolder} holds no identity after its enrolment`);
    const clock = agentClock(config.CAAS_BUSINESS_TIME);
    const certificates = createCertificateKeeper({ identity, storage, clock, random: Math.random });
    const agent = createAgent({
      identity,
      storage,
      certificates,
      adapter: createDirectoryAdapter(),
      transport: createMqttTransport({
        ...identity.broker,
        url: config.DEMO_CARS_BROKER_URL ?? identity.broker.url,
        tls() {
          const { certificate, tlsKeyPem, brokerCa } = certificates.credential;
          return { certificate, key: tlsKeyPem, ca: brokerCa };
        },
      }),
      clock,
      random: Math.random,
      logger,
      metrics,
    });
    if (stopping.signal.aborted) return;
    agents.set(vin, agent);
    const connected = new Promise<void>((resolve) => agent.once("connected", () => resolve()));
    await agent.start();
    await connected;
  }

  /** Brings up every car that has a folder and is not up yet. */
  async function bringUpNew(): Promise<void> {
    const waiting = listCars(folder).filter((vin) => !known.has(vin));
    for (const vin of waiting) known.add(vin);
    const work = async () => {
      for (let vin = waiting.shift(); vin !== undefined; vin = waiting.shift())
        await bringUp(vin).catch((error: unknown) =>
          logger.error({ err: error, vin }, "a car did not come up"),
        );
    };
    await Promise.all(Array.from({ length: startedAtOnce }, work));
  }

  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const watcher = watch(folder, () => void bringUpNew());
  const server = await listen(config.DEMO_CARS_HTTP_PORT, async (path) => {
    if (path === "/metrics")
      return { type: metrics.registry.contentType, body: await metrics.registry.metrics() };
    const states = [...agents.values()].map((agent) => agent.state().connected);
    const body = { cars: states.length, connected: states.filter((connected) => connected).length };
    return { type: "application/json", body: JSON.stringify(body) };
  });
  const stop = async () => {
    if (stopping.signal.aborted) return;
    stopping.abort();
    watcher.close();
    server.close();
    server.closeAllConnections();
    await Promise.all([...agents.values()].map((agent) => agent.stop()));
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT", "disconnect"]) process.once(signal, () => void stop());

  await Promise.race([
    bringUpNew(),
    new Promise((resolve) => setTimeout(resolve, comingUpTimeoutMs).unref()),
  ]);
  const address = server.address();
  const port = address === null || typeof address === "string" ? 0 : address.port;
  const addresses = { http: `http://127.0.0.1:${port}`, cars: String(agents.size) };
  process.stdout.write(`${JSON.stringify({ ready: true, addresses })}\n`);
}

function listen(
  port: number,
  answer: (path: string | undefined) => Promise<{ type: string; body: string }>,
): Promise<Server> {
  const server = createServer((request, response) => {
    answer(request.url?.split("?")[0]).then(
      ({ type, body }) => response.writeHead(200, { "content-type": type }).end(body),
      () => response.writeHead(500).end(),
    );
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

if (import.meta.main) {
  run().catch((error: unknown) => {
    const words =
      error instanceof z.ZodError
        ? z.prettifyError(error)
        : error instanceof Error
          ? error.message
          : String(error);
    process.stderr.write(`demo cars: ${words}\n`);
    process.exit(1);
  });
}
