import { randomUUID } from "node:crypto";
import { createConnection, createServer, type Socket } from "node:net";
import { type ManifestEntry, manifestHash, signManifest } from "@caas/contract/manifest.ts";
import { verifyReport } from "@caas/contract/report.ts";
import { fleetFilter, parseTopic, topicOf } from "@caas/contract/topics.ts";
import { withTemporaryFolder } from "@caas/simulator/command/run.ts";
import { createKeepAliveWheel } from "@caas/simulator/link/keep-alive-wheel.ts";
import { createLightTransport } from "@caas/simulator/link/light-transport.ts";
import { nowMs, until } from "@caas/simulator/run/pace.ts";
import type { CarLink, ConnectOptions } from "@caas/vehicle-agent/link/transport.ts";
import { type ProcessMemory, readProcessMemory } from "../../start/processes.ts";
import type { Findings, Frame } from "../frame.ts";
import { agentFiguresOf, toMb } from "./agent-figures.ts";
import {
  type AgentForm,
  type BenchAgent,
  type BenchBroker,
  startBenchAgent,
  startTlsBroker,
} from "./agent-process.ts";

export type AgentMemoryOptions = {
  minutes: number;
  /** Seconds between two changes. */
  every: number;
  /** Minutes between two losses of the link; 0: never. */
  cut: number;
  form: AgentForm;
  /** Megabytes (10^6 bytes) that may be resident in the agent at the end. */
  maxRss: number;
};

/** As Prometheus is set up to. */
const scrapeEveryMs = 15_000;
const readingEveryMs = 1_000;

/** One car's agent in a process of its own, as installed, watched while it does everyday work. */
export async function measureAgentMemory(options: AgentMemoryOptions, frame: Frame): Promise<Findings> {
  return withTemporaryFolder("bench", async (folder) => {
    await using closing = new AsyncDisposableStack();
    const broker = await startTlsBroker(folder);
    closing.defer(broker.stop);
    const tunnel = await openTunnel(broker.tlsPort);
    closing.defer(tunnel.close);
    const agent = await startBenchAgent(folder, broker, { form: options.form, brokerPort: tunnel.port });
    closing.defer(agent.stop);
    return await watch(options, frame, { broker, agent, cutLink: tunnel.cut });
  });
}

type Measured = { broker: BenchBroker; agent: BenchAgent; cutLink: () => void };

async function watch(
  options: AgentMemoryOptions,
  frame: Frame,
  { broker, agent, cutLink }: Measured,
): Promise<Findings> {
  const office = await openOffice(broker, agent);
  const app = await openApp(agent);
  const started = readMemory(agent);
  frame.say(`  start         ${describe(started)}`);
  const endsAtMs = nowMs() + options.minutes * 60_000;
  const samples: ProcessMemory[] = [started];
  const jobs = [
    repeat(options.every * 1000, frame.signal, endsAtMs, office.change),
    repeat(readingEveryMs, frame.signal, endsAtMs, app.read),
    repeat(scrapeEveryMs, frame.signal, endsAtMs, async () => {
      await (await fetch(`${agent.http}/metrics`)).arrayBuffer();
    }),
    repeat(60_000, frame.signal, endsAtMs, async () => {
      const sample = readMemory(agent);
      samples.push(sample);
      frame.say(
        `  minute ${String(samples.length - 1).padStart(3)}    ${describe(sample)}  ${office.changes()} changes`,
      );
    }),
    ...(options.cut === 0
      ? []
      : [repeat(options.cut * 60_000, frame.signal, endsAtMs, async () => cutLink())]),
  ];
  try {
    await Promise.all(jobs);
    const ended = readMemory(agent);
    const { numbers, failures } = agentFiguresOf({
      samples,
      ended,
      changes: office.changes(),
      telemetry: office.readings(),
      minutes: options.minutes,
      maxRss: options.maxRss,
    });
    return {
      numbers,
      conditions: {
        form: options.form,
        everySeconds: options.every,
        cutEveryMinutes: options.cut,
        telemetryMessages: office.readings(),
        node: process.version,
        command: `npm run bench -- agent --minutes ${options.minutes} --every ${options.every} --cut ${options.cut} --form ${options.form}`,
        measured:
          "MB are 10^6 bytes; highest of the samples a minute apart, peak by the kernel (VmHWM); mutual TLS, local port with an app, HTTP port scraped every 15 s, started with the flags of the systemd unit",
      },
      raw: { samples, ended },
      failures: [...office.failures(), ...failures],
    };
  } finally {
    office.close();
    app.close();
  }
}

/** A minimal control plane: writes a change, signs it, and receives the signed report about it. */
async function openOffice({ keyRing, tcpUrl, controlPlanePassword }: BenchBroker, agent: BenchAgent) {
  const { vin, proofKey } = agent;
  const base: ManifestEntry = {
    id: randomUUID(),
    code: "plataformaBase",
    configuration: {},
    term: { kind: "unlimited" },
  };
  const service = randomUUID();
  const failures: string[] = [];
  let version = 0;
  let proved = 0;
  let changes = 0;
  let readings = 0;
  const login = { url: tcpUrl, username: "control-plane", password: controlPlanePassword };
  const link = await connect(login, {
    clientId: "control-plane-agent-memory",
    subscriptions: [fleetFilter("report"), fleetFilter("telemetry")],
    onMessage(topic, payload) {
      if (parseTopic(topic)?.kind === "telemetry") {
        readings += 1;
        return;
      }
      const result = verifyReport(payload.toString(), { vin, key: proofKey });
      if (result.kind === "refused") failures.push(`a report was refused: ${result.reason}`);
      else if (result.report.outcome?.result === "failed")
        failures.push(`version ${result.report.outcome.version} failed: ${result.report.outcome.reason}`);
      else if (result.report.outcome !== null && result.report.outcome.version > proved) {
        proved = result.report.outcome.version;
        changes += 1;
      }
    },
  });

  function entriesOf(number: number): ManifestEntry[] {
    if (number % 3 === 0) return [base];
    const configuration = { profile: "sport", maxSpeedKmh: 180 + (number % 40) };
    return [base, { ...base, id: service, code: "navigation", configuration }];
  }

  return {
    /** Sends the next change, or the same again while the car has not answered. */
    async change(): Promise<void> {
      if (proved === version) version += 1;
      const entries = entriesOf(version);
      const token = signManifest(
        {
          vin,
          version,
          hash: manifestHash(entries),
          proofKey: proofKey.kid,
          keySetVersion: keyRing.keySet.version,
          issuedAt: new Date().toISOString(),
          entries,
        },
        keyRing.signingKey,
      );
      await link.publish({ topic: topicOf(vin, "manifest"), payload: token, qos: 1, retain: false });
    },
    changes: () => changes,
    readings: () => readings,
    failures: () => failures,
    close: () => link.drop(),
  };
}

/** A program in the car that publishes readings and subscribes to configurations. */
async function openApp({ local }: BenchAgent) {
  const link = await connect(
    { url: local.url, username: local.app, password: local.password },
    {
      clientId: local.app,
      subscriptions: ["car/v1/active", "car/v1/configuration/navigation"],
      onMessage: () => undefined,
    },
  );
  let distance = 1_000;
  return {
    async read(): Promise<void> {
      distance += 1;
      const topic = "car/v1/signals/Vehicle.TraveledDistance";
      await link.publish({ topic, payload: String(distance), qos: 0, retain: false });
    },
    close: () => link.drop(),
  };
}

/** Connects a program other than a car: without a will. */
function connect(
  login: { url: string; username: string; password: string },
  options: Pick<ConnectOptions, "clientId" | "subscriptions" | "onMessage">,
): Promise<CarLink> {
  const keepAlive = createKeepAliveWheel();
  const will = { topic: "", payload: "", qos: 0, retain: false } as const;
  const signal = new AbortController().signal;
  return createLightTransport({ ...login, tls: null, keepAlive, sendsWill: false }).connect({
    ...options,
    will,
    signal,
  });
}

/** The link between car and broker: bytes pass unchanged until it is cut; the car can reconnect at once. */
async function openTunnel(brokerPort: number) {
  const sockets = new Set<Socket>();
  const server = createServer((inside) => {
    const outside = createConnection(brokerPort, "127.0.0.1");
    for (const [socket, other] of [
      [inside, outside],
      [outside, inside],
    ] as const) {
      sockets.add(socket);
      socket
        .on("error", () => undefined)
        .on("close", () => {
          sockets.delete(socket);
          other.destroy();
        });
    }
    inside.pipe(outside).pipe(inside);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the tunnel has no port");
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: address.port,
    cut,
    close() {
      cut();
      server.close();
    },
  };
}

async function repeat(
  everyMs: number,
  signal: AbortSignal,
  endsAtMs: number,
  work: () => Promise<void>,
): Promise<void> {
  for (let dueMs = nowMs() + everyMs; dueMs <= endsAtMs && (await until(dueMs, signal)); dueMs += everyMs)
    await work();
}

function readMemory({ pid }: BenchAgent): ProcessMemory {
  const memory = readProcessMemory(pid);
  if (memory === null) throw new Error("this system does not say what memory a process uses");
  return memory;
}

function describe({ rss, pss }: ProcessMemory): string {
  return `RSS ${toMb(rss).toFixed(1)} MB  PSS ${toMb(pss).toFixed(1)} MB`;
}
