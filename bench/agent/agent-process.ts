import { createHash, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { realClock } from "@caas/contract/business-clock.ts";
import { signingKeyFromPem, type VerifyingKey } from "@caas/contract/jws.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { openCertificateAuthority } from "@caas/control-plane/fleet-link/certificate-authority.ts";
import { prepareKeyFolder } from "@caas/control-plane/fleet-link/key-folder.ts";
import { type KeyRing, openKeyRing } from "@caas/control-plane/fleet-link/key-ring.ts";
import { installCredentials } from "@caas/simulator/fleet/credentials.ts";
import { assignVin } from "@caas/simulator/stand-ins/factory/assign-vin.ts";
import { bundleAgent } from "@caas/vehicle-agent/bundle.ts";
import { makeCarKeys, tlsPublicKeyOf } from "@caas/vehicle-agent/identity/keys.ts";
import { openDirectoryStorage } from "@caas/vehicle-agent/storage/storage.ts";
import * as z from "zod";
import { startProgram } from "../../lab/child-program.ts";

// One car as it is installed: its program, started with the command of its systemd unit, with a certificate and a
// folder of its own, and a broker in a process of its own that authenticates it by mutual TLS.

export type AgentForm = "bundle" | "source";

export type BenchBroker = {
  keyRing: KeyRing;
  keysDir: string;
  /** For the control plane, with this password. */
  tcpUrl: string;
  controlPlanePassword: string;
  tlsPort: number;
  stop(): Promise<void>;
};

export type BenchAgent = {
  pid: number;
  vin: Vin;
  /** Verifies what the car signs; manifests are bound to its `kid`. */
  proofKey: VerifyingKey;
  local: { url: string; app: string; password: string };
  http: string;
  stop(): Promise<void>;
};

const brokerReady = z.object({ addresses: z.object({ tcpPort: z.number(), tlsPort: z.number() }) });
const agentReady = z.object({ addresses: z.object({ local: z.url(), http: z.url() }) });

const brokerFile = fileURLToPath(new URL("../../broker/main.ts", import.meta.url));
const agentFile = fileURLToPath(new URL("../../vehicle-agent/main.ts", import.meta.url));
const unitFile = fileURLToPath(new URL("../../vehicle-agent/deploy/caas-agent.service", import.meta.url));
/** Far from the factory's own numbers. */
const carSerial = 990_001;

export async function startTlsBroker(folder: string): Promise<BenchBroker> {
  const keysDir = join(folder, "keys");
  const controlPlanePassword = randomBytes(24).toString("base64url");
  const prepared = await prepareKeyFolder(keysDir, realClock);
  const running = await startProgram({
    name: "the broker",
    command: process.execPath,
    args: [brokerFile],
    speaksOn: "stdout",
    env: {
      ...process.env,
      BROKER_TCP_PORT: "0",
      BROKER_TLS_PORT: "0",
      BROKER_TLS_HOST: "127.0.0.1",
      BROKER_TLS_KEY_FILE: prepared.broker.keyFile,
      BROKER_TLS_CERT_FILE: prepared.broker.certificateFile,
      BROKER_TLS_CLIENT_CA_FILE: prepared.caFile,
      BROKER_ROOT_PUBLIC_KEY_FILE: prepared.rootPublicKeyFile,
      // The control plane connects over TCP, where the broker requires both secrets.
      BROKER_CAR_SECRET: randomBytes(24).toString("base64url"),
      BROKER_CONTROL_PLANE_PASSWORD: controlPlanePassword,
      LOG_LEVEL: "error",
    },
  });
  const { addresses } = brokerReady.parse(JSON.parse(running.said));
  return {
    keyRing: await openKeyRing(keysDir, realClock),
    keysDir,
    tcpUrl: `mqtt://127.0.0.1:${addresses.tcpPort}`,
    controlPlanePassword,
    tlsPort: addresses.tlsPort,
    stop: () => running.stop(),
  };
}

/** Starts the agent of a newly enrolled car with all its ports open; connected when it resolves. */
export async function startBenchAgent(
  folder: string,
  { keyRing, keysDir }: BenchBroker,
  { form, brokerPort }: { form: AgentForm; brokerPort: number },
): Promise<BenchAgent> {
  const vin = assignVin(carSerial);
  const keys = makeCarKeys();
  const authority = await openCertificateAuthority(keysDir, realClock);
  const dataDir = join(folder, "car");
  await installCredentials(await openDirectoryStorage(dataDir), {
    ...keys,
    vin,
    rootPublicKey: keyRing.rootPublicKey,
    controlPlaneUrl: "http://127.0.0.1:1",
    certificate: (await authority.issueForCar(vin, tlsPublicKeyOf(keys.tlsKeyPem))).pem,
    brokerCa: authority.caCertificate,
    broker: { url: `mqtts://127.0.0.1:${brokerPort}`, username: vin, password: null },
    keySet: keyRing.keySetToken,
  });
  const app = { name: "dashboard", password: randomBytes(16).toString("base64url") };
  const appsFile = join(folder, "apps.json");
  await writeFile(appsFile, JSON.stringify({ apps: [describeApp(app)] }));
  const running = await startProgram({
    name: "the agent",
    command: process.execPath,
    args: [...(await nodeFlagsOfUnit()), await programOf(form, folder), "run"],
    speaksOn: "stdout",
    env: {
      PATH: process.env.PATH,
      CAAS_AGENT_DATA_DIR: dataDir,
      CAAS_AGENT_HTTP_PORT: "0",
      CAAS_AGENT_LOCAL_PORT: "0",
      CAAS_AGENT_LOCAL_APPS_FILE: appsFile,
      LOG_LEVEL: "warn",
    },
  });
  const { addresses } = agentReady.parse(JSON.parse(running.said));
  const { kid, privateKey } = signingKeyFromPem(keys.proofKeyPem);
  return {
    pid: running.pid,
    vin,
    proofKey: { kid, publicKey: privateKey },
    local: { url: addresses.local, app: app.name, password: app.password },
    http: addresses.http,
    stop: () => running.stop(),
  };
}

function describeApp({ name, password }: { name: string; password: string }) {
  return {
    name,
    passwordSha256: createHash("sha256").update(password).digest("base64url"),
    reads: ["plataformaBase", "navigation"],
    gives: ["Vehicle.TraveledDistance", "Vehicle.LowVoltageBattery.CurrentVoltage"],
  };
}

async function programOf(form: AgentForm, folder: string): Promise<string> {
  if (form === "source") return agentFile;
  const file = join(folder, "caas-agent.mjs");
  await bundleAgent(file);
  return file;
}

/** Node's options in the unit: an agent is measured as a car runs it. */
async function nodeFlagsOfUnit(): Promise<string[]> {
  const command = /^ExecStart=\S*node (.*) \S+ run$/m.exec(await readFile(unitFile, "utf8"))?.[1];
  if (command === undefined) throw new Error("the unit does not say how the agent is started");
  return command.split(" ");
}
