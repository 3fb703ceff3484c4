import { join } from "node:path";
import type { PreparedFolder } from "@caas/control-plane/fleet-link/key-folder.ts";
import type { StandInAddresses } from "@caas/simulator/stand-ins/addresses.ts";
import type { Ports } from "./ports.ts";
import type { Secrets } from "./secrets.ts";

// What each part gets in its environment. Each reads and checks its own (its config.ts); here is only what
// they must agree on.

export type Environment = Readonly<Record<string, string | undefined>>;

/** What all parts' environments are made from. */
export type Installation = {
  dataDir: string;
  ports: Ports;
  /** Of the broker's further processes, which share a Redis with the first. */
  siblings: readonly Ports[];
  secrets: Secrets;
  /** The caller's own: the services it names are used instead of ours. */
  environment: Environment;
  /** `CAAS_BUSINESS_TIME`; without it business time is real time. */
  businessTime: string | undefined;
};

const partnerVariables = {
  factory: "FACTORY",
  gateway: "GATEWAY",
  vss: "VSS",
  authority: "AUTHORITY",
  transport: "TRANSPORT",
} as const;
export type PartnerName = keyof typeof partnerVariables | "smtp";

const partnerNames = ["factory", "gateway", "vss", "authority", "transport"] as const;

export function isSet(environment: Environment, name: string): boolean {
  return environment[name] !== undefined && environment[name] !== "";
}

/** The partners whose address the environment names: they get no stand-in. */
export function listOutsidePartners(environment: Environment): PartnerName[] {
  const outside: PartnerName[] = partnerNames.filter((name) =>
    isSet(environment, `${partnerVariables[name]}_URL`),
  );
  return isSet(environment, "SMTP_URL") ? [...outside, "smtp"] : outside;
}

/** Why the story cannot be played: it acts for the partners' people, which it cannot where partners are real. */
export function explainNoStory(environment: Environment): string | null {
  const outside = listOutsidePartners(environment);
  const needed = (["factory", "transport", "smtp"] as const).filter((name) => outside.includes(name));
  if (needed.length === 0) return null;
  const names = needed.join(" and ");
  return `it plays the people of our own stand-ins, and here ${names} ${needed.length === 1 ? "is an outside system" : "are outside systems"}`;
}

export const allPartners: readonly PartnerName[] = [...partnerNames, "smtp"];

export function restUrl({ ports }: Installation): string {
  return `http://127.0.0.1:${ports.rest}`;
}

function timeOf({ businessTime }: Installation): Record<string, string> {
  return businessTime === undefined ? {} : { CAAS_BUSINESS_TIME: businessTime };
}

/** A secret the environment names is used on both ends. */
function secretOf(
  { secrets, environment }: Installation,
  name: Exclude<keyof Secrets, "staffPasswords">,
): string {
  const given = environment[name];
  return given === undefined || given === "" ? secrets[name] : given;
}

function partnerSecrets(
  installation: Installation,
  name: (typeof partnerNames)[number],
): Record<string, string> {
  const prefix = partnerVariables[name];
  const key = { [`${prefix}_API_KEY`]: secretOf(installation, `${prefix}_API_KEY`) };
  switch (prefix) {
    case "FACTORY":
    case "GATEWAY":
    case "TRANSPORT":
      return { ...key, [`${prefix}_WEBHOOK_SECRET`]: secretOf(installation, `${prefix}_WEBHOOK_SECRET`) };
    case "VSS":
    case "AUTHORITY":
      return key;
  }
}

export function standInsEnvironment(installation: Installation, folder: string): Record<string, string> {
  const { ports } = installation;
  const partnerPorts = Object.fromEntries(
    partnerNames.map((name) => [`${partnerVariables[name]}_PORT`, String(ports[name])]),
  );
  const secrets = partnerNames.map((name) => partnerSecrets(installation, name));
  return {
    ...partnerPorts,
    ...Object.assign({}, ...secrets),
    ...timeOf(installation),
    PARTNERS_DATA_DIR: folder,
    WEBHOOK_BASE_URL: restUrl(installation),
    INBOX_HTTP_PORT: String(ports.inbox),
    INBOX_SMTP_PORT: String(ports.smtp),
  };
}

/** @param name of the process, which keeps its own files */
export function brokerEnvironment(
  installation: Installation,
  certificates: PreparedFolder,
  name = "broker",
  ports = installation.ports,
): Record<string, string> {
  const { dataDir, environment } = installation;
  return {
    ...(isSet(environment, "REDIS_URL") ? { REDIS_URL: environment.REDIS_URL ?? "" } : {}),
    ...timeOf(installation),
    BROKER_TCP_PORT: String(ports.mqtt),
    BROKER_TLS_PORT: String(ports.mqttTls),
    // A demonstration serves this machine only; a car on the road needs BROKER_TLS_HOST.
    BROKER_TLS_HOST: installation.environment.BROKER_TLS_HOST || "127.0.0.1",
    BROKER_TLS_KEY_FILE: certificates.broker.keyFile,
    BROKER_TLS_CERT_FILE: certificates.broker.certificateFile,
    BROKER_TLS_CLIENT_CA_FILE: certificates.caFile,
    BROKER_METRICS_PORT: String(ports.brokerMetrics),
    BROKER_ROOT_PUBLIC_KEY_FILE: certificates.rootPublicKeyFile,
    BROKER_STATE_DIR: join(dataDir, name),
    BROKER_CAR_SECRET: secretOf(installation, "BROKER_CAR_SECRET"),
    BROKER_CONTROL_PLANE_PASSWORD: secretOf(installation, "BROKER_CONTROL_PLANE_PASSWORD"),
  };
}

export function controlPlaneEnvironment(
  installation: Installation,
  parts: { databaseUrl: string; keysDir: string; standIns: StandInAddresses | null },
): Record<string, string> {
  const { environment, ports } = installation;
  const outside = new Set(listOutsidePartners(environment));
  const partners = partnerNames
    .filter((name) => !outside.has(name))
    .map((name) => ({
      ...partnerSecrets(installation, name),
      ...(parts.standIns === null ? {} : { [`${partnerVariables[name]}_URL`]: parts.standIns[name] }),
    }));
  const ownBroker = isSet(environment, "MQTT_URL")
    ? {}
    : {
        MQTT_URL: plainBrokerUrl(installation),
        MQTT_PASSWORD: secretOf(installation, "BROKER_CONTROL_PLANE_PASSWORD"),
        CAR_MQTT_URL: carBrokerUrl(installation),
        BROKER_CAR_SECRET: secretOf(installation, "BROKER_CAR_SECRET"),
      };
  return {
    ...Object.assign({}, ...partners),
    ...(outside.has("smtp") || parts.standIns === null ? {} : { SMTP_URL: parts.standIns.smtp }),
    ...ownBroker,
    ...timeOf(installation),
    DATABASE_URL: parts.databaseUrl,
    HTTP_PORT: String(ports.rest),
    PUBLIC_URL: environment.PUBLIC_URL || restUrl(installation),
    KEYS_DIR: parts.keysDir,
    SESSION_SECRET: secretOf(installation, "SESSION_SECRET"),
    ENROLMENT_SECRET: secretOf(installation, "ENROLMENT_SECRET"),
    SEED_DEMO_CATALOG: environment.SEED_DEMO_CATALOG || "true",
  };
}

/** Cars remember where they enrolled; after a start on other ports our broker is elsewhere. */
function brokerForCars(installation: Installation, variable: string): Record<string, string> {
  return isSet(installation.environment, "MQTT_URL") ? {} : { [variable]: carBrokerUrl(installation) };
}

/** The addresses of all the broker's processes. */
export function plainBrokerUrl({ ports, siblings }: Pick<Installation, "ports" | "siblings">): string {
  return [ports, ...siblings].map(({ mqtt }) => `mqtt://127.0.0.1:${mqtt}`).join(",");
}

export function tlsBrokerUrl({ ports, siblings }: Pick<Installation, "ports" | "siblings">): string {
  return [ports, ...siblings].map(({ mqttTls }) => `mqtts://127.0.0.1:${mqttTls}`).join(",");
}

function carBrokerUrl(installation: Installation): string {
  return installation.environment.CAR_MQTT_URL || tlsBrokerUrl(installation);
}

export function demoCarsEnvironment(installation: Installation, folder: string): Record<string, string> {
  return {
    ...timeOf(installation),
    ...brokerForCars(installation, "DEMO_CARS_BROKER_URL"),
    DEMO_CARS_FOLDER: folder,
    DEMO_CARS_HTTP_PORT: String(installation.ports.fleetMetrics),
  };
}

/** @param carPort 0 takes a free one, for a second car beside the story's */
export function carEnvironment(installation: Installation, carPort: number): Record<string, string> {
  return {
    ...timeOf(installation),
    ...brokerForCars(installation, "CAAS_AGENT_BROKER_URL"),
    CAAS_AGENT_HTTP_PORT: String(carPort),
  };
}
