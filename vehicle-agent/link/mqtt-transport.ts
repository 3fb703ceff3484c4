import { createBrokerRound } from "@caas/contract/broker-addresses.ts";
import mqtt, { type IClientOptions, MqttClient } from "mqtt";
import { openTrustedSocket, type TlsCredential } from "./server-trust.ts";
import type { CarLink, CarTransport, ConnectOptions } from "./transport.ts";

export type MqttTransportOptions = {
  /**
   * `mqtts://` proves the car by its certificate; `mqtt://`, on loopback only, by VIN and password. Several with commas
   * are processes of one broker.
   */
  url: string;
  username: string;
  password: string | null;
  /** Used with `mqtts://`; a function is called before every connection. */
  tls: TlsCredential | (() => TlsCredential);
};

/** For the broker's answer to CONNECT. */
const connectTimeoutMs = 10_000;
/** Both sides notice a dead link within one and a half of these. */
const keepaliveSeconds = 60;
/** We do not wait longer for the farewell. */
const closeTimeoutMs = 2_000;

export function createMqttTransport(options: MqttTransportOptions): CarTransport {
  const round = createBrokerRound(options.url, options.username);

  async function openClient(wanted: ConnectOptions, rules: IClientOptions): Promise<MqttClient> {
    const { username, password } = options;
    const url = round.current();
    if (!url.startsWith("mqtts:"))
      return mqtt.connect(url, { ...rules, username, ...(password === null ? {} : { password }) });
    const credential = typeof options.tls === "function" ? options.tls() : options.tls;
    const { signedTime, signal } = wanted;
    const socket = await openTrustedSocket(url, credential, {
      signedTime,
      signal,
      timeoutMs: connectTimeoutMs,
    });
    return new MqttClient(() => socket, rules);
  }
  return {
    async connect(wanted) {
      const rules: IClientOptions = {
        clientId: wanted.clientId,
        clean: true,
        protocolVersion: 4,
        keepalive: keepaliveSeconds,
        connectTimeout: connectTimeoutMs,
        // One connection is one client: each has a will with its own counter. And mqtt.js loses messages of its own
        // store when it replays, so that store is not used.
        reconnectPeriod: 0,
        queueQoSZero: false,
        resubscribe: false,
        will: {
          topic: wanted.will.topic,
          payload: Buffer.from(wanted.will.payload),
          qos: wanted.will.qos,
          retain: wanted.will.retain,
        },
      };
      try {
        return await openLink(await openClient(wanted, rules), wanted);
      } catch (error) {
        round.failed();
        throw error;
      }
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
  const whileOpen = watchLink(client, closed);
  const abort = (): void => {
    lastProblem = "stopped";
    client.end(true);
  };
  wanted.signal.addEventListener("abort", abort, { once: true });
  try {
    if (wanted.signal.aborted) throw new Error("stopped");
    client.on("message", wanted.onMessage);
    await whileOpen(new Promise((resolve) => client.once("connect", resolve)));
    const granted = await whileOpen(client.subscribeAsync([...wanted.subscriptions], { qos: 1 }));
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
      await whileOpen(client.publishAsync(topic, payload, { qos, retain }));
    },
    drop: () => void client.end(true),
    async close() {
      const force = setTimeout(() => client.end(true), closeTimeoutMs);
      await client.endAsync();
      clearTimeout(force);
    },
  };
}

/** The result of `work`, unless the link ends first. */
type WhileOpen = <T>(work: Promise<T>) => Promise<T>;

/**
 * mqtt.js may leave a publish unanswered when the link ends. Waiting ones are kept here and not in reactions to
 * `closed`, which would hold every message of a connection until its end.
 */
function watchLink(client: MqttClient, closed: Promise<string>): WhileOpen {
  const waiting = new Set<(error: Error) => void>();
  let lost: string | null = null;
  void closed.then((reason) => {
    lost = reason;
    client.end(true);
    for (const reject of waiting) reject(new Error(reason));
  });
  return <T>(work: Promise<T>) =>
    new Promise<T>((resolve, reject) => {
      const settle = (): void => {
        waiting.delete(reject);
      };
      work.then(resolve, reject).then(settle, settle);
      if (lost === null) waiting.add(reject);
      else reject(new Error(lost));
    });
}
