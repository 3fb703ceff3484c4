import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { carPassword } from "@caas/contract/car-password.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { ServiceCertificates } from "@caas/control-plane/fleet-link/certificate-authority.ts";
import * as z from "zod";
import { brokerNodeOptions, nodeOptions } from "../../start/node-settings.ts";

/** A broker in a process of its own, to be measured. */
export type MeasuredBroker = {
  /** For the results: `ours`, or program and version. */
  name: string;
  /** `mqtt://127.0.0.1:port` */
  url: string;
  /** `mqtts://…` where clients prove themselves by certificate; `null` without certificates of its own. */
  mutualTlsUrl: string | null;
  /** `mqtts://…` where only the broker has a certificate; `null` where there is no such way in. */
  serverTlsUrl: string | null;
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
const brokerProgram = fileURLToPath(new URL("../../broker/main.ts", import.meta.url));
const plainAedesProgram = fileURLToPath(new URL("./plain-aedes-program.ts", import.meta.url));

/** What one car or one benchmark is not allowed to do a second on the road; metered all the same. */
const noRates = {
  BROKER_CAR_MESSAGES_PER_S: "1000000",
  BROKER_CAR_MESSAGE_BURST: "1000000",
  BROKER_CAR_BYTES_PER_S: "1000000000",
  BROKER_CAR_BYTE_BURST: "1000000000",
  BROKER_CONNECTS_PER_S: "1000000",
  BROKER_CONNECT_BURST: "1000000",
  BROKER_SOURCE_CONNECTS_PER_S: "1000000",
  BROKER_SOURCE_CONNECT_BURST: "1000000",
};

/** As `npm start` runs our broker: plain aedes is given the same, so that only the code differs. */
const nodeSettings = [...nodeOptions, ...brokerNodeOptions];

/** Our broker with its access rules and limits; with `certificates` on mutual TLS, too. */
export async function startOurBroker(certificates?: ServiceCertificates): Promise<MeasuredBroker> {
  const { addresses, child } = await startNode(brokerProgram, {
    BROKER_TCP_PORT: "0",
    BROKER_CAR_SECRET: carSecret,
    BROKER_CONTROL_PLANE_PASSWORD: controlPlanePassword,
    LOG_LEVEL: "error",
    ...noRates,
    ...(certificates === undefined
      ? {}
      : {
          BROKER_TLS_PORT: "0",
          BROKER_TLS_HOST: "127.0.0.1",
          BROKER_TLS_KEY_FILE: certificates.broker.keyFile,
          BROKER_TLS_CERT_FILE: certificates.broker.certificateFile,
          BROKER_TLS_CLIENT_CA_FILE: certificates.caFile,
        }),
  });
  return {
    name: "ours",
    url: `mqtt://127.0.0.1:${addresses.tcpPort}`,
    mutualTlsUrl: tlsUrlOf(addresses.tlsPort),
    // It lets nobody in over TLS who brings no certificate.
    serverTlsUrl: null,
    pid: pidOf(child),
    carSecret,
    credentialsOf: (client) =>
      client.kind === "car"
        ? { username: client.vin, password: carPassword(carSecret, client.vin) }
        : { username: "control-plane", password: controlPlanePassword },
    stop: () => end(child),
  };
}

/** aedes alone, of the version that our broker is made with. */
export async function startPlainAedes(certificates: ServiceCertificates): Promise<MeasuredBroker> {
  const { addresses, child } = await startNode(plainAedesProgram, {
    AEDES_KEY: certificates.broker.keyFile,
    AEDES_CERTIFICATE: certificates.broker.certificateFile,
    AEDES_CLIENT_CA: certificates.caFile,
  });
  return {
    name: `aedes ${aedesVersion()}`,
    url: `mqtt://127.0.0.1:${addresses.tcpPort}`,
    mutualTlsUrl: tlsUrlOf(addresses.tlsPort),
    serverTlsUrl: tlsUrlOf(addresses.serverTlsPort),
    pid: pidOf(child),
    carSecret: null,
    credentialsOf: () => ({ username: "", password: null }),
    stop: () => end(child),
  };
}

const port = z.number().int().nullish();
const readySchema = z.object({
  addresses: z.object({ tcpPort: z.number().int(), tlsPort: port, serverTlsPort: port }),
});

async function startNode(program: string, settings: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, [...nodeSettings, program], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...settings },
  });
  const [line] = await firstOf(child, once(child.stdout, "data"));
  const { addresses } = readySchema.parse(JSON.parse(String(line)));
  return { child, addresses };
}

function tlsUrlOf(tlsPort: number | null | undefined): string | null {
  return tlsPort === null || tlsPort === undefined ? null : `mqtts://127.0.0.1:${tlsPort}`;
}

function aedesVersion(): string {
  const file = new URL("package.json", import.meta.resolve("aedes"));
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(file, "utf8"))).version;
}

/** Mosquitto without persistence and without its limits on what waits: nothing of its own holds it back. */
export async function startMosquitto(
  program: string,
  certificates?: ServiceCertificates,
): Promise<MeasuredBroker> {
  const folder = await mkdtemp(join(tmpdir(), "caas-mosquitto-"));
  const port = await findFreePort();
  const tlsPort = certificates === undefined ? null : await findFreePort();
  const serverTlsPort = certificates === undefined ? null : await findFreePort();
  const settings = [
    `listener ${port} 127.0.0.1`,
    ...(certificates === undefined
      ? []
      : [
          ...[`listener ${tlsPort} 127.0.0.1`, ...identityOf(certificates)],
          ...[`cafile ${certificates.caFile}`, "require_certificate true"],
          ...[`listener ${serverTlsPort} 127.0.0.1`, ...identityOf(certificates)],
        ]),
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
    mutualTlsUrl: tlsUrlOf(tlsPort),
    serverTlsUrl: tlsUrlOf(serverTlsPort),
    pid: pidOf(child),
    carSecret: null,
    credentialsOf: () => ({ username: "", password: null }),
    async stop() {
      await end(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function identityOf({ broker }: ServiceCertificates): string[] {
  return [`certfile ${broker.certificateFile}`, `keyfile ${broker.keyFile}`];
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
