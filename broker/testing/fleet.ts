import { carPassword } from "@caas/contract/car-password.ts";
import { checkDigit, parseVin, type Vin } from "@caas/contract/vin.ts";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { pino } from "pino";
import { type Broker, type BrokerAddresses, type BrokerOptions, createBroker } from "../broker.ts";

// A real broker on free ports and real clients, for the tests of this folder.

export const passwords = {
  carSecret: "a secret that exists only in tests",
  controlPlanePassword: "a password that exists only in tests",
};

/** The n-th test car's VIN, check digit and all. */
export function testVin(n: number): Vin {
  const serial = String(n).padStart(6, "0");
  return parseVin(`1HGCM826${checkDigit(`1HGCM8260RA${serial}`)}RA${serial}`);
}

export type RunningBroker = {
  broker: Broker;
  addresses: BrokerAddresses;
  tcpPort: number;
  metricsPort: number;
};

export async function startBroker(options: Partial<BrokerOptions> = {}): Promise<RunningBroker> {
  const broker = createBroker({
    policy: "fleet",
    tcp: { host: "127.0.0.1", port: 0 },
    metrics: { host: "127.0.0.1", port: 0 },
    passwords,
    now: () => new Date(),
    log: pino({ level: "silent" }),
    ...options,
  });
  const addresses = await broker.start();
  return { broker, addresses, tcpPort: addresses.tcpPort ?? 0, metricsPort: addresses.metricsPort ?? 0 };
}

export function connectTo(port: number, options: IClientOptions): Promise<MqttClient> {
  return connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, ...options }, false);
}

export function connectCar(port: number, vin: Vin, options: IClientOptions = {}): Promise<MqttClient> {
  return connectTo(port, {
    clientId: vin,
    username: vin,
    password: carPassword(passwords.carSecret, vin),
    ...options,
  });
}

export function connectControlPlane(port: number, options: IClientOptions = {}): Promise<MqttClient> {
  return connectTo(port, {
    clientId: "control-plane-1",
    username: "control-plane",
    password: passwords.controlPlanePassword,
    ...options,
  });
}

/** Fulfilled when the client's connection is over. */
export function closeOf(client: MqttClient): Promise<void> {
  return new Promise((resolve) => client.once("close", () => resolve()));
}

export type Heard = { topic: string; payload: string; retain: boolean };

/** The next `count` messages that `client` receives. */
export function hear(client: MqttClient, count: number): Promise<Heard[]> {
  return new Promise((resolve) => {
    const heard: Heard[] = [];
    client.on("message", (topic, payload, { retain }) => {
      heard.push({ topic, payload: payload.toString(), retain });
      if (heard.length === count) resolve(heard);
    });
  });
}

/** The code in a SUBACK for each filter: 0, 1, 2 or 128. */
export async function subackCodes(client: MqttClient, filters: readonly string[]): Promise<number[]> {
  const codes: number[] = [];
  for (const filter of filters) {
    const answer = new Promise<number>((resolve) => {
      client.on("packetreceive", function take(packet) {
        if (packet.cmd !== "suback") return;
        client.off("packetreceive", take);
        resolve(Number(packet.granted[0]));
      });
    });
    // mqtt.js rejects on 0x80; the code itself is what the tests look at.
    client.subscribeAsync(filter, { qos: 1 }).catch(() => {});
    codes.push(await answer);
  }
  return codes;
}

/** The value of one metric line, as `name{label="x"}`; 0 where the line is absent. */
export async function readMetric(metricsPort: number, line: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
  const text = await response.text();
  const found = text.split("\n").find((candidate) => candidate.startsWith(`${line} `));
  return Number(found?.slice(line.length + 1) ?? 0);
}
