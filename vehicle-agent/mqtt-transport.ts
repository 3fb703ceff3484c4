import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import type { CarLink, CarTransport, ConnectOptions } from "./transport.ts";

export type MqttTransportOptions = {
  /** `mqtts://` proves the car by its certificate; `mqtt://`, on loopback only, by VIN and password. */
  url: string;
  username: string;
  password: string | null;
  /** Used with `mqtts://`; a function is asked before every connection. */
  tls: TlsCredential | (() => TlsCredential);
};

/** PEM texts. */
export type TlsCredential = { certificate: string; key: string; ca: string };

/** The broker's answer to CONNECT: longer means it is not well. */
const connectTimeoutMs = 10_000;
/** A dead link is noticed within one and a half of these by both sides. */
const keepaliveSeconds = 60;
/** A farewell that takes longer is not waited for. */
const closeTimeoutMs = 2_000;

export function createMqttTransport(options: MqttTransportOptions): CarTransport {
  function proof(): IClientOptions {
    const { username, password } = options;
    if (!options.url.startsWith("mqtts:")) return { username, ...(password === null ? {} : { password }) };
    const { certificate, key, ca } = typeof options.tls === "function" ? options.tls() : options.tls;
    return { cert: certificate, key, ca, rejectUnauthorized: true };
  }
  return {
    async connect(wanted) {
      const client = mqtt.connect(options.url, {
        ...proof(),
        clientId: wanted.clientId,
        clean: true,
        protocolVersion: 4,
        keepalive: keepaliveSeconds,
        connectTimeout: connectTimeoutMs,
        // One connection is one client: each has a will with its own counter. And mqtt.js loses what its own
        // store held when it replays, so nothing is ever left to that store.
        reconnectPeriod: 0,
        queueQoSZero: false,
        resubscribe: false,
        will: {
          topic: wanted.will.topic,
          payload: Buffer.from(wanted.will.payload),
          qos: wanted.will.qos,
          retain: wanted.will.retain,
        },
      });
      return openLink(client, wanted);
    },
  };
}

async function openLink(client: MqttClient, wanted: ConnectOptions): Promise<CarLink> {
  let lastProblem = "the broker closed the connection";
  client.on("error", (error) => {
    lastProblem = error.message;
  });
  const closed = new Promise<string>((resolve) => {
    client.once("close", () => resolve(lastProblem));
  });
  const abort = (): void => {
    lastProblem = "stopped";
    client.end(true);
  };
  wanted.signal.addEventListener("abort", abort, { once: true });
  try {
    if (wanted.signal.aborted) throw new Error("stopped");
    client.on("message", wanted.onMessage);
    await firstOf(client, closed, new Promise((resolve) => client.once("connect", resolve)));
    const granted = await firstOf(
      client,
      closed,
      client.subscribeAsync([...wanted.subscriptions], { qos: 1 }),
    );
    if (granted.some(({ qos }) => qos === 128)) throw new Error("the broker refused a subscription");
  } catch (error) {
    client.end(true);
    throw error;
  } finally {
    wanted.signal.removeEventListener("abort", abort);
  }
  return {
    closed,
    async publish({ topic, payload, qos, retain }) {
      await firstOf(client, closed, client.publishAsync(topic, payload, { qos, retain }));
    },
    drop: () => void client.end(true),
    async close() {
      const force = setTimeout(() => client.end(true), closeTimeoutMs);
      await client.endAsync();
      clearTimeout(force);
    },
  };
}

/** What `work` gives, unless the link ends first: mqtt.js may leave a publish unanswered then. */
async function firstOf<T>(client: MqttClient, closed: Promise<string>, work: Promise<T>): Promise<T> {
  const lost = closed.then((reason) => {
    client.end(true);
    throw new Error(reason);
  });
  // Loses the race in the good case and must not count as unhandled later.
  lost.catch(() => undefined);
  work.catch(() => undefined);
  return Promise.race([work, lost]);
}
