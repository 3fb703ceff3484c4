import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { carPassword } from "@caas/contract/car-password.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { ServiceCertificates } from "@caas/control-plane/fleet-link/certificate-authority.ts";
import * as z from "zod";
import { startProgram } from "../../lab/child-program.ts";
import { brokerNodeOptions, nodeOptions } from "../../start/node-settings.ts";
import { findFreePort } from "../../start/ports.ts";

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
  /** What clients authenticate with; `null` where nothing is asked. */
  credentialsOf(client: { kind: "car"; vin: Vin } | { kind: "controlPlane" }): {
    username: string;
    password: string | null;
  };
  stop(): Promise<void>;
};

const carSecret = "the cars' secret of a benchmark";
const controlPlanePassword = "the control plane's password in a benchmark";
const brokerProgram = fileURLToPath(new URL("../../broker/main.ts", import.meta.url));
const plainAedesProgram = fileURLToPath(new URL("./plain-aedes-program.ts", import.meta.url));

/** Rates that no real car or benchmark may use in production; they are metered all the same. */
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
  const { addresses, running } = await startNode(brokerProgram, {
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
    // Over TLS it refuses clients without a certificate.
    serverTlsUrl: null,
    pid: running.pid,
    carSecret,
    credentialsOf: (client) =>
      client.kind === "car"
        ? { username: client.vin, password: carPassword(carSecret, client.vin) }
        : { username: "control-plane", password: controlPlanePassword },
    stop: () => running.stop(),
  };
}

/** aedes alone, in the version that our broker uses. */
export async function startPlainAedes(certificates: ServiceCertificates): Promise<MeasuredBroker> {
  const { addresses, running } = await startNode(plainAedesProgram, {
    AEDES_KEY: certificates.broker.keyFile,
    AEDES_CERTIFICATE: certificates.broker.certificateFile,
    AEDES_CLIENT_CA: certificates.caFile,
  });
  return {
    name: `aedes ${aedesVersion()}`,
    url: `mqtt://127.0.0.1:${addresses.tcpPort}`,
    mutualTlsUrl: tlsUrlOf(addresses.tlsPort),
    serverTlsUrl: tlsUrlOf(addresses.serverTlsPort),
    pid: running.pid,
    carSecret: null,
    credentialsOf: () => ({ username: "", password: null }),
    stop: () => running.stop(),
  };
}

const port = z.number().int().nullish();
const readySchema = z.object({
  addresses: z.object({ tcpPort: z.number().int(), tlsPort: port, serverTlsPort: port }),
});

async function startNode(program: string, settings: Readonly<Record<string, string>>) {
  const running = await startProgram({
    name: "the broker",
    command: process.execPath,
    args: [...nodeSettings, program],
    env: { ...process.env, ...settings },
    speaksOn: "stdout",
  });
  const { addresses } = readySchema.parse(JSON.parse(running.said));
  return { running, addresses };
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
    // "running" is logged at this level; a line for each of thousands of connections would be a load of its own.
    "log_type information",
    "connection_messages false",
    ...(process.getuid?.() === 0 ? ["user root"] : []),
  ];
  const file = join(folder, "mosquitto.conf");
  await writeFile(file, `${settings.join("\n")}\n`);
  const running = await startProgram({
    name: "Mosquitto",
    command: program,
    args: ["-c", file],
    speaksOn: "stderr",
    isReady: (said) => / running/.test(said),
  });
  const version = /mosquitto version (\S+)/.exec(running.said)?.[1] ?? "";
  return {
    name: `mosquitto ${version}`,
    url: `mqtt://127.0.0.1:${port}`,
    mutualTlsUrl: tlsUrlOf(tlsPort),
    serverTlsUrl: tlsUrlOf(serverTlsPort),
    pid: running.pid,
    carSecret: null,
    credentialsOf: () => ({ username: "", password: null }),
    async stop() {
      await running.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function identityOf({ broker }: ServiceCertificates): string[] {
  return [`certfile ${broker.certificateFile}`, `keyfile ${broker.keyFile}`];
}
