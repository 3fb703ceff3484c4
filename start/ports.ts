import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** The ports that people use. The database's is a free one that we hand on. */
export const portTable = {
  rest: { variable: "HTTP_PORT", port: 8080, serves: "REST interface" },
  mqtt: { variable: "BROKER_TCP_PORT", port: 1883, serves: "MQTT broker, plain" },
  mqttTls: { variable: "BROKER_TLS_PORT", port: 8883, serves: "MQTT broker, TLS" },
  brokerMetrics: { variable: "BROKER_METRICS_PORT", port: 9101, serves: "metrics of the broker" },
  carMetrics: {
    variable: "CAAS_AGENT_HTTP_PORT",
    port: 9102,
    serves: "screen and metrics of the story's car",
  },
  fleetMetrics: { variable: "DEMO_CARS_HTTP_PORT", port: 9103, serves: "metrics of the demo cars" },
  inbox: { variable: "INBOX_HTTP_PORT", port: 8025, serves: "inbox" },
  smtp: { variable: "INBOX_SMTP_PORT", port: 1025, serves: "SMTP of the inbox" },
  factory: { variable: "FACTORY_PORT", port: 8101, serves: "stand-in of the factory" },
  gateway: { variable: "GATEWAY_PORT", port: 8102, serves: "stand-in of the payment gateway" },
  vss: { variable: "VSS_PORT", port: 8103, serves: "stand-in of the workshops" },
  authority: { variable: "AUTHORITY_PORT", port: 8104, serves: "stand-in of the registration authority" },
  transport: { variable: "TRANSPORT_PORT", port: 8105, serves: "stand-in of the carrier" },
} as const satisfies Record<string, { variable: string; port: number; serves: string }>;

export type PortName = keyof typeof portTable;
export type Ports = Readonly<Record<PortName, number>>;

/** Wrong use or an obstacle, explained in a sentence, without a stack trace. */
export class StartRefused extends Error {
  override name = "StartRefused";
}

const names = Object.keys(portTable).filter((name): name is PortName => Object.hasOwn(portTable, name));

/**
 * `default`: the table's ports, or those of the environment, and each must be free. `free`: ports
 * that are not in use, for runs beside another.
 *
 * @throws StartRefused naming the port, what it is for and the variable that changes it
 */
export async function choosePorts(
  which: "default" | "free",
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Ports> {
  const take = (name: PortName) =>
    which === "free" ? holdFree(name) : hold(name, readPort(name, environment));
  const held = await Promise.all(names.map(async (name) => ({ name, ...(await take(name)) })));
  await Promise.all(held.map(({ release }) => release()));
  const taken = held.find(({ problem }) => problem !== null);
  if (taken?.problem) throw new StartRefused(taken.problem);
  const port = (name: PortName) => held.find((one) => one.name === name)?.port ?? 0;
  return {
    rest: port("rest"),
    mqtt: port("mqtt"),
    mqttTls: port("mqttTls"),
    brokerMetrics: port("brokerMetrics"),
    carMetrics: port("carMetrics"),
    fleetMetrics: port("fleetMetrics"),
    inbox: port("inbox"),
    smtp: port("smtp"),
    factory: port("factory"),
    gateway: port("gateway"),
    vss: port("vss"),
    authority: port("authority"),
    transport: port("transport"),
  };
}

function readPort(name: PortName, environment: Readonly<Record<string, string | undefined>>): number {
  const { variable, port } = portTable[name];
  const text = environment[variable];
  if (text === undefined || text === "") return port;
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535)
    throw new StartRefused(`${variable} must be a port, 0 (any free one) to 65535; it is "${text}".`);
  return Number(text);
}

type Held = { port: number; problem: string | null; release: () => Promise<void> };

// Between being chosen here and being listened on by its part, a port the system hands out by itself may become the
// local end of some connection. Below these ranges (from 32768 on Linux, 49152 elsewhere) that cannot happen.
const firstFreePort = 20_000;
const lastFreePort = 32_000;
const freePortTries = 50;

async function holdFree(name: PortName): Promise<Held> {
  for (let tries = 1; tries < freePortTries; tries += 1) {
    const held = await hold(name, randomInt(firstFreePort, lastFreePort));
    if (held.problem === null) return held;
  }
  return hold(name, 0);
}

/** Listens until `release`, so that no two of our own parts are given one port. */
function hold(name: PortName, port: number): Promise<Held> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => {
      const problem = explain(name, port, error);
      resolve({ port, problem, release: async () => undefined });
    });
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => {
      const address = server.address();
      const got = address === null || typeof address === "string" ? port : address.port;
      const release = () => new Promise<void>((done) => server.close(() => done()));
      resolve({ port: got, problem: null, release });
    });
  });
}

/** A port that is free on loopback now; the caller listens on it at once. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

function explain(name: PortName, port: number, error: NodeJS.ErrnoException): string {
  const { variable, serves } = portTable[name];
  const why =
    error.code === "EADDRINUSE"
      ? "is taken by another program"
      : error.code === "EACCES"
        ? "needs more rights than this user has"
        : `cannot be had (${error.message})`;
  return `Port ${port} (${serves}) ${why}. Set ${variable} to another port, or take free ones with --ports free.`;
}
