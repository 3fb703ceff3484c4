import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { carPassword } from "@caas/contract/car-password.ts";
import type { Vin } from "@caas/contract/vin.ts";

/** A broker in a process of its own, to be measured. */
export type MeasuredBroker = {
  /** For the results: `ours`, or program and version. */
  name: string;
  /** `mqtt://127.0.0.1:port` */
  url: string;
  pid: number;
  /** What the cars' passwords are made from; `null` where there are none. */
  carSecret: string | null;
  /** What clients prove themselves with; `null` where nobody asks. */
  credentialsOf(client: { kind: "car"; vin: Vin } | { kind: "controlPlane" }): {
    username: string;
    password: string | null;
  };
  stop(): Promise<void>;
};

const carSecret = "the cars' secret of a benchmark";
const controlPlanePassword = "the control plane's password in a benchmark";
/** Both start in well under a second on an idle machine. */
const readyTimeoutMs = 20_000;
const brokerProgram = fileURLToPath(new URL("../broker/main.ts", import.meta.url));

/** Our broker with its access rules and limits, on plain TCP. */
export async function startOurBroker(): Promise<MeasuredBroker> {
  const child = spawn(process.execPath, [brokerProgram], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      ...process.env,
      BROKER_TCP_PORT: "0",
      BROKER_CAR_SECRET: carSecret,
      BROKER_CONTROL_PLANE_PASSWORD: controlPlanePassword,
      LOG_LEVEL: "error",
    },
  });
  const [line] = await firstOf(child, once(child.stdout, "data"));
  const ready: unknown = JSON.parse(String(line));
  const port = readPort(ready);
  return {
    name: "ours",
    url: `mqtt://127.0.0.1:${port}`,
    pid: pidOf(child),
    carSecret,
    credentialsOf: (client) =>
      client.kind === "car"
        ? { username: client.vin, password: carPassword(carSecret, client.vin) }
        : { username: "control-plane", password: controlPlanePassword },
    stop: () => end(child),
  };
}

function readPort(ready: unknown): number {
  if (typeof ready === "object" && ready !== null && "addresses" in ready) {
    const { addresses } = ready;
    if (typeof addresses === "object" && addresses !== null && "tcpPort" in addresses)
      return Number(addresses.tcpPort);
  }
  throw new Error("the broker did not say where it listens");
}

/** Mosquitto without persistence and without its limits on what waits: nothing of its own holds it back. */
export async function startMosquitto(program: string): Promise<MeasuredBroker> {
  const folder = await mkdtemp(join(tmpdir(), "caas-mosquitto-"));
  const port = await findFreePort();
  const settings = [
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
    "persistence false",
    // By default it drops what waits behind 20 unacknowledged and 1,000 queued messages a client.
    "max_inflight_messages 0",
    "max_queued_messages 0",
    "set_tcp_nodelay true",
    "log_dest stderr",
    // Its "running" is an information; a line for each of thousands of connections would be work of its own.
    "log_type information",
    "connection_messages false",
    ...(process.getuid?.() === 0 ? ["user root"] : []),
  ];
  const file = join(folder, "mosquitto.conf");
  await writeFile(file, `${settings.join("\n")}\n`);
  const child = spawn(program, ["-c", file], { stdio: ["ignore", "ignore", "pipe"] });
  let version = "";
  const running = new Promise<void>((resolve) => {
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      version ||= /mosquitto version (\S+)/.exec(text)?.[1] ?? "";
      if (/ running/.test(text)) resolve();
    });
  });
  await firstOf(child, running);
  return {
    name: `mosquitto ${version}`,
    url: `mqtt://127.0.0.1:${port}`,
    pid: pidOf(child),
    carSecret: null,
    credentialsOf: () => ({ username: "", password: null }),
    async stop() {
      await end(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error("the broker did not start");
  return child.pid;
}

async function firstOf<T>(child: ChildProcess, work: Promise<T>): Promise<T> {
  const gone = once(child, "exit").then(([code]) => {
    throw new Error(`the broker ended with code ${String(code)} before it was ready`);
  });
  gone.catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`the broker was not ready after ${readyTimeoutMs} ms`));
    }, readyTimeoutMs);
  });
  return Promise.race([work, gone, late]).finally(() => clearTimeout(timer));
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  await gone;
}
