import { isIP } from "node:net";
import { businessClockFrom, type Clock } from "@caas/contract/business-clock.ts";
import { explainVariables } from "@caas/contract/explain-variables.ts";
import * as z from "zod";
import type { Passwords } from "./access/identity.ts";
import { type BrokerLimits, defaultLimits, type Listener } from "./broker.ts";
import type { ClusterOptions } from "./cluster/cluster.ts";
import { parseFailpoints } from "./failpoints.ts";
import { isLoopback } from "./loopback.ts";

export type BrokerConfig = {
  policy: "fleet" | "open";
  tcp: Listener | undefined;
  tls: (Listener & { keyFile: string; certFile: string; clientCaFile: string }) | undefined;
  metrics: Listener | undefined;
  passwords: Passwords | undefined;
  limits: BrokerLimits;
  exemptAddresses: readonly string[];
  rootPublicKey: { text: string } | { file: string } | undefined;
  stateDir: string | undefined;
  /** One of several processes. */
  cluster: ClusterOptions | undefined;
  clock: Clock;
  failpoints: ReturnType<typeof parseFailpoints>;
  logLevel: string;
};

/** `explanation` names each bad variable, and never shows a value that could be a secret. */
export type ConfigReading =
  | { status: "valid"; config: BrokerConfig }
  | { status: "invalid"; explanation: string };

const portPattern = /^\d{1,5}$/;
const maxPort = 65_535;
const port = z
  .string()
  .refine(
    (text) => portPattern.test(text) && Number(text) <= maxPort,
    "must be a port, 0 to 65535 (0 = any free one)",
  )
  .transform(Number);
const secret = z.string().min(16, "must have at least 16 characters");
const file = z.string().min(1);

const highestLimit = 2_147_483_647;
/** A whole number from 1; without one the limit's own default. */
function limit(fallback: number) {
  return z
    .string()
    .refine(
      (text) => /^[1-9]\d{0,9}$/.test(text) && Number(text) <= highestLimit,
      "must be a whole number from 1",
    )
    .transform(Number)
    .default(fallback);
}

const addresses = z
  .string()
  .transform((text) => text.split(",").map((part) => part.trim()))
  .refine(
    (list) => list.every((address) => isIP(address) !== 0),
    "must be IP addresses, separated by commas",
  );

const loopbackHost = z.string().refine(isLoopback, "must be a loopback address (127.0.0.1, ::1)");

const schema = z
  .object({
    BROKER_POLICY: z.enum(["fleet", "open"]).default("fleet"),
    // "off" for a broker that only speaks TLS.
    BROKER_TCP_PORT: z.union([z.literal("off"), port], "must be a port, 0 to 65535, or off").default(1883),
    BROKER_TCP_HOST: loopbackHost.default("127.0.0.1"),
    BROKER_TLS_PORT: port.optional(),
    BROKER_TLS_HOST: z.string().min(1).optional(),
    BROKER_TLS_KEY_FILE: file.optional(),
    BROKER_TLS_CERT_FILE: file.optional(),
    BROKER_TLS_CLIENT_CA_FILE: file.optional(),
    BROKER_CAR_SECRET: secret.optional(),
    BROKER_CONTROL_PLANE_PASSWORD: secret.optional(),
    BROKER_METRICS_PORT: port.optional(),
    // Figures about the fleet stay on this machine unless an operator decides otherwise.
    BROKER_METRICS_HOST: z.string().min(1).default("127.0.0.1"),
    BROKER_MAX_FIRST_PACKET_BYTES: limit(defaultLimits.maxFirstFrameBytes),
    BROKER_MAX_PACKET_BYTES: limit(defaultLimits.maxFrameBytes),
    BROKER_CONNECT_TIMEOUT_MS: limit(defaultLimits.connectTimeoutMs),
    BROKER_CONNECTS_PER_S: limit(defaultLimits.connects.perS),
    BROKER_CONNECT_BURST: limit(defaultLimits.connects.burst),
    BROKER_SOURCE_CONNECTS_PER_S: limit(defaultLimits.connectsPerSource.perS),
    BROKER_SOURCE_CONNECT_BURST: limit(defaultLimits.connectsPerSource.burst),
    BROKER_EXEMPT_ADDRESSES: addresses.optional(),
    BROKER_MAX_CONNECTIONS: limit(defaultLimits.maxConnections),
    BROKER_MAX_UNAUTHENTICATED: limit(defaultLimits.maxUnauthenticated),
    BROKER_MAX_KEEP_ALIVE_S: limit(defaultLimits.maxKeepAliveS),
    BROKER_MAX_SUBSCRIPTIONS: limit(defaultLimits.maxSubscriptions),
    BROKER_MAX_INFLIGHT: limit(defaultLimits.maxInflight),
    BROKER_CAR_MESSAGES_PER_S: limit(defaultLimits.carMessages.perS),
    BROKER_CAR_MESSAGE_BURST: limit(defaultLimits.carMessages.burst),
    BROKER_CAR_BYTES_PER_S: limit(defaultLimits.carBytes.perS),
    BROKER_CAR_BYTE_BURST: limit(defaultLimits.carBytes.burst),
    BROKER_EVICT_AFTER_MS: limit(defaultLimits.evictAfterMs),
    BROKER_DRAIN_TIMEOUT_MS: limit(defaultLimits.drainTimeoutMs),
    BROKER_MAX_UNSENT_BYTES: limit(defaultLimits.maxUnsentBytes),
    BROKER_ROOT_PUBLIC_KEY: z
      .string()
      .regex(/^[\w-]{43}$/, "must be a raw Ed25519 public key, base64url, 43 characters")
      .optional(),
    BROKER_ROOT_PUBLIC_KEY_FILE: file.optional(),
    BROKER_STATE_DIR: file.optional(),
    REDIS_URL: z
      .string()
      .refine(isRedisUrl, "must be redis://[[user]:password@]host[:port][/database], or rediss:// for TLS")
      .optional(),
    BROKER_REDIS_PREFIX: z
      .string()
      .regex(/^[\w.-]{1,40}$/, "must be letters, digits, points, dashes: at most 40")
      .default("caas"),
    CAAS_BUSINESS_TIME: z.string().optional(),
    CAAS_FAILPOINTS: z
      .string()
      .transform((text) => parseFailpoints(text))
      .refine((plan) => plan !== undefined, "must read place:passage, as connected-before-subscribed:2")
      .optional(),
    LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
  })
  .superRefine((env, context) => {
    const refuse = (name: keyof typeof env, message: string) =>
      context.addIssue({ code: "custom", path: [name], message });
    if (env.BROKER_TLS_PORT !== undefined)
      for (const name of [
        "BROKER_TLS_KEY_FILE",
        "BROKER_TLS_CERT_FILE",
        "BROKER_TLS_CLIENT_CA_FILE",
      ] as const)
        if (env[name] === undefined) refuse(name, "is needed with BROKER_TLS_PORT");
    if (env.BROKER_POLICY === "fleet" && env.BROKER_TCP_PORT !== "off")
      for (const name of ["BROKER_CAR_SECRET", "BROKER_CONTROL_PLANE_PASSWORD"] as const)
        if (env[name] === undefined) refuse(name, "is needed with BROKER_TCP_PORT under the fleet policy");
    if (env.BROKER_TCP_PORT === "off" && env.BROKER_TLS_PORT === undefined)
      refuse("BROKER_TLS_PORT", "is needed when BROKER_TCP_PORT is off");
    if (env.BROKER_ROOT_PUBLIC_KEY !== undefined && env.BROKER_ROOT_PUBLIC_KEY_FILE !== undefined)
      refuse("BROKER_ROOT_PUBLIC_KEY_FILE", "is one too many beside BROKER_ROOT_PUBLIC_KEY");
    if (env.BROKER_POLICY === "open" && env.REDIS_URL !== undefined)
      refuse("REDIS_URL", "goes with the fleet policy only");
    if (env.BROKER_POLICY === "open" && !isLoopback(env.BROKER_TLS_HOST ?? "127.0.0.1"))
      refuse("BROKER_TLS_HOST", "must be a loopback address under the open policy");
  });

function isRedisUrl(text: string): boolean {
  return (
    URL.canParse(text) &&
    ["redis:", "rediss:"].includes(new URL(text).protocol) &&
    new URL(text).hostname !== ""
  );
}

/** Every variable the broker reads. */
export const variableNames: readonly string[] = Object.keys(schema.shape);

/** Reads the environment once. An empty value counts as absent, as in a compose file. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): ConfigReading {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const parsed = schema.safeParse(present);
  if (!parsed.success)
    return { status: "invalid", explanation: explain(explainVariables(parsed.error, present)) };
  const read = parsed.data;
  const clock = readClock(read.CAAS_BUSINESS_TIME);
  if (typeof clock === "string") return { status: "invalid", explanation: explain([clock]) };
  return {
    status: "valid",
    config: {
      policy: read.BROKER_POLICY,
      tcp:
        read.BROKER_TCP_PORT === "off"
          ? undefined
          : { host: read.BROKER_TCP_HOST, port: read.BROKER_TCP_PORT },
      tls: readTls(read),
      metrics:
        read.BROKER_METRICS_PORT === undefined
          ? undefined
          : { host: read.BROKER_METRICS_HOST, port: read.BROKER_METRICS_PORT },
      passwords:
        read.BROKER_CAR_SECRET === undefined || read.BROKER_CONTROL_PLANE_PASSWORD === undefined
          ? undefined
          : { carSecret: read.BROKER_CAR_SECRET, controlPlanePassword: read.BROKER_CONTROL_PLANE_PASSWORD },
      limits: readLimits(read),
      exemptAddresses: read.BROKER_EXEMPT_ADDRESSES ?? [],
      rootPublicKey: readRootPublicKey(read),
      stateDir: read.BROKER_STATE_DIR,
      cluster:
        read.REDIS_URL === undefined ? undefined : { url: read.REDIS_URL, prefix: read.BROKER_REDIS_PREFIX },
      clock,
      failpoints: read.CAAS_FAILPOINTS,
      logLevel: read.LOG_LEVEL,
    },
  };
}

function readTls(read: z.infer<typeof schema>): BrokerConfig["tls"] {
  const keyFile = read.BROKER_TLS_KEY_FILE;
  const certFile = read.BROKER_TLS_CERT_FILE;
  const clientCaFile = read.BROKER_TLS_CLIENT_CA_FILE;
  const listensOn = read.BROKER_TLS_PORT;
  if (
    listensOn === undefined ||
    keyFile === undefined ||
    certFile === undefined ||
    clientCaFile === undefined
  )
    return undefined;
  const host = read.BROKER_TLS_HOST ?? (read.BROKER_POLICY === "open" ? "127.0.0.1" : "0.0.0.0");
  return { host, port: listensOn, keyFile, certFile, clientCaFile };
}

function readLimits(read: z.infer<typeof schema>): BrokerLimits {
  return {
    ...defaultLimits,
    maxFirstFrameBytes: read.BROKER_MAX_FIRST_PACKET_BYTES,
    maxFrameBytes: read.BROKER_MAX_PACKET_BYTES,
    connectTimeoutMs: read.BROKER_CONNECT_TIMEOUT_MS,
    connects: { perS: read.BROKER_CONNECTS_PER_S, burst: read.BROKER_CONNECT_BURST },
    connectsPerSource: { perS: read.BROKER_SOURCE_CONNECTS_PER_S, burst: read.BROKER_SOURCE_CONNECT_BURST },
    maxConnections: read.BROKER_MAX_CONNECTIONS,
    maxUnauthenticated: read.BROKER_MAX_UNAUTHENTICATED,
    maxKeepAliveS: read.BROKER_MAX_KEEP_ALIVE_S,
    maxSubscriptions: read.BROKER_MAX_SUBSCRIPTIONS,
    maxInflight: read.BROKER_MAX_INFLIGHT,
    carMessages: { perS: read.BROKER_CAR_MESSAGES_PER_S, burst: read.BROKER_CAR_MESSAGE_BURST },
    carBytes: { perS: read.BROKER_CAR_BYTES_PER_S, burst: read.BROKER_CAR_BYTE_BURST },
    evictAfterMs: read.BROKER_EVICT_AFTER_MS,
    drainTimeoutMs: read.BROKER_DRAIN_TIMEOUT_MS,
    maxUnsentBytes: read.BROKER_MAX_UNSENT_BYTES,
  };
}

function readRootPublicKey(read: z.infer<typeof schema>): BrokerConfig["rootPublicKey"] {
  if (read.BROKER_ROOT_PUBLIC_KEY !== undefined) return { text: read.BROKER_ROOT_PUBLIC_KEY };
  const path = read.BROKER_ROOT_PUBLIC_KEY_FILE;
  return path === undefined ? undefined : { file: path };
}

function readClock(text: string | undefined): Clock | string {
  try {
    return businessClockFrom(text);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function explain(lines: readonly string[]): string {
  return ["the environment is incomplete or wrong (see --help):", ...lines].join("\n  ");
}
