#!/usr/bin/env node
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { destination, pino } from "pino";
import { type BrokerOptions, createBroker } from "./broker.ts";
import { type BrokerConfig, readConfig } from "./config.ts";
import { armFailpoints } from "./failpoints.ts";

const help = `caas-broker: the fleet's MQTT broker

  --policy fleet   every client only its own topics (default)
  --policy open    every client may do anything; loopback only, for conformance tests
  --help           this text

Prints one line of JSON on stdout when it is ready, logs on stderr; SIGTERM or SIGINT ends it.

Environment
  BROKER_TCP_PORT                plain MQTT on loopback (default 1883, 0 = any free port, off = none)
  BROKER_TCP_HOST                a loopback address (default 127.0.0.1)
  BROKER_CAR_SECRET              the secret from which the cars' passwords are derived
  BROKER_CONTROL_PLANE_PASSWORD  of the user control-plane
  BROKER_TLS_PORT                MQTT over mutual TLS (default none)
  BROKER_TLS_HOST                where (default 0.0.0.0; 127.0.0.1 under the open policy)
  BROKER_TLS_KEY_FILE            the broker's private key, PEM
  BROKER_TLS_CERT_FILE           the broker's certificate, PEM
  BROKER_TLS_CLIENT_CA_FILE      the car CA, PEM
  BROKER_METRICS_PORT            /metrics and /health over HTTP (default none)
  BROKER_METRICS_HOST            where (default 127.0.0.1)
  BROKER_POLICY                  as --policy

  Limits (README.md says why each default is what it is)
  BROKER_MAX_FIRST_PACKET_BYTES, BROKER_MAX_PACKET_BYTES, BROKER_CONNECT_TIMEOUT_MS, BROKER_CONNECTS_PER_S,
  BROKER_CONNECT_BURST, BROKER_SOURCE_CONNECTS_PER_S, BROKER_SOURCE_CONNECT_BURST, BROKER_MAX_CONNECTIONS,
  BROKER_MAX_UNAUTHENTICATED, BROKER_MAX_KEEP_ALIVE_S, BROKER_MAX_SUBSCRIPTIONS, BROKER_MAX_INFLIGHT,
  BROKER_CAR_MESSAGES_PER_S, BROKER_CAR_MESSAGE_BURST, BROKER_CAR_BYTES_PER_S, BROKER_CAR_BYTE_BURST,
  BROKER_EVICT_AFTER_MS, BROKER_DRAIN_TIMEOUT_MS, BROKER_MAX_UNSENT_BYTES
  BROKER_EXEMPT_ADDRESSES        addresses no connect rate applies to, with commas: the control plane's

  Revocation
  BROKER_ROOT_PUBLIC_KEY         the fleet's root (raw Ed25519, base64url) that verifies revocation lists
  BROKER_ROOT_PUBLIC_KEY_FILE    the same in a file
  BROKER_STATE_DIR               where the newest list is stored across restarts (default: nowhere)

  Several processes
  REDIS_URL                      shares presence and messages with the other processes of this fleet's broker
                                 (redis://:password@host:6379/0, rediss:// for TLS; default: a single process)
  BROKER_REDIS_PREFIX            of keys and channels there; one per fleet (default caas)

  CAAS_BUSINESS_TIME             REAL/BUSINESS/SCALE (default: business time is real time)
  CAAS_FAILPOINTS                for rehearsals: where it dies, as connected-before-subscribed:2 (default: nowhere)
  LOG_LEVEL                      trace to fatal, or silent (default info)
`;

const usageError = 2;

async function main(): Promise<void> {
  const arguments_ = readArguments();
  if ("message" in arguments_) return fail(`${arguments_.message} (see --help)`, usageError);
  if (arguments_.help) {
    process.stdout.write(help);
    return;
  }
  const { policy } = arguments_;
  const reading = readConfig(policy === undefined ? process.env : { ...process.env, BROKER_POLICY: policy });
  if (reading.status === "invalid") return fail(reading.explanation, usageError);
  const { config } = reading;
  if (config.failpoints !== undefined) armFailpoints(config.failpoints);
  const log = pino({ name: "caas-broker", level: config.logLevel }, destination({ fd: 2, sync: true }));

  try {
    const broker = createBroker({
      policy: config.policy,
      tcp: config.tcp,
      tls: await readTlsFiles(config.tls),
      metrics: config.metrics,
      passwords: config.passwords,
      limits: config.limits,
      exemptAddresses: config.exemptAddresses,
      rootPublicKey: await readRootPublicKey(config.rootPublicKey),
      stateDir: config.stateDir,
      cluster: config.cluster,
      now: config.clock.now,
      log,
    });
    const wasChild = process.connected;
    const addresses = await broker.start();
    const end = (cause: string) => {
      log.info({ cause }, "stopping");
      broker.stop().then(
        () => process.exit(0),
        (error: unknown) => fail(String(error), 1),
      );
    };
    // Before the ready line: its reader may stop the broker at once.
    process.once("SIGTERM", end);
    process.once("SIGINT", end);
    process.once("disconnect", () => end("disconnect"));
    process.stdout.write(`${JSON.stringify({ ready: true, addresses })}\n`);
    // The parent process may have ended before this listener was added.
    if (wasChild && !process.connected) end("disconnect");
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error), 1);
  }
}

function readArguments(): { help: boolean; policy: string | undefined } | { message: string } {
  try {
    const options = { help: { type: "boolean", short: "h" }, policy: { type: "string" } } as const;
    const { values } = parseArgs({ options });
    return { help: values.help ?? false, policy: values.policy };
  } catch (error) {
    return { message: error instanceof Error ? error.message : String(error) };
  }
}

async function readTlsFiles(tls: BrokerConfig["tls"]): Promise<BrokerOptions["tls"]> {
  if (tls === undefined) return undefined;
  const { host, port } = tls;
  return {
    host,
    port,
    key: await readNamed("BROKER_TLS_KEY_FILE", tls.keyFile),
    cert: await readNamed("BROKER_TLS_CERT_FILE", tls.certFile),
    clientCa: await readNamed("BROKER_TLS_CLIENT_CA_FILE", tls.clientCaFile),
  };
}

async function readRootPublicKey(from: BrokerConfig["rootPublicKey"]): Promise<string | undefined> {
  if (from === undefined || "text" in from) return from?.text;
  return (await readNamed("BROKER_ROOT_PUBLIC_KEY_FILE", from.file)).trim();
}

async function readNamed(variable: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`${variable}: cannot read ${path}`, { cause: error });
  }
}

function fail(message: string, exitCode: number): void {
  process.stderr.write(`caas-broker: ${message}\n`);
  process.exitCode = exitCode;
}

if (import.meta.main) await main();
