import { businessClockFrom, type Clock } from "@caas/contract/business-clock.ts";
import * as z from "zod";
import type { Listener } from "./broker.ts";
import type { Passwords } from "./identity.ts";
import { isLoopback } from "./loopback.ts";

export type BrokerConfig = {
  policy: "fleet" | "open";
  tcp: Listener | undefined;
  tls: (Listener & { keyFile: string; certFile: string; clientCaFile: string }) | undefined;
  metrics: Listener | undefined;
  passwords: Passwords | undefined;
  clock: Clock;
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
    // Numbers about the fleet are nobody else's business until somebody decides so.
    BROKER_METRICS_HOST: z.string().min(1).default("127.0.0.1"),
    CAAS_BUSINESS_TIME: z.string().optional(),
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
    if (env.BROKER_POLICY === "open" && !isLoopback(env.BROKER_TLS_HOST ?? "127.0.0.1"))
      refuse("BROKER_TLS_HOST", "must be a loopback address under the open policy");
  });

/** Every variable the broker reads. */
export const variableNames: readonly string[] = Object.keys(schema.shape);

/** Reads the environment once. An empty value counts as absent, as in a compose file. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): ConfigReading {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const parsed = schema.safeParse(present);
  if (!parsed.success) return { status: "invalid", explanation: explain(parsed.error.issues) };
  const read = parsed.data;
  const clock = readClock(read.CAAS_BUSINESS_TIME);
  if (typeof clock === "string") return { status: "invalid", explanation: clock };
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
      clock,
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

function readClock(text: string | undefined): Clock | string {
  try {
    return businessClockFrom(text);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function explain(issues: readonly z.core.$ZodIssue[]): string {
  return issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("\n");
}
