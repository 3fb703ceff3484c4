import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { backoffMs } from "@caas/contract/backoff.ts";
import { createBrokerRound } from "@caas/contract/broker-addresses.ts";
import { createPacketReader, type PacketFromBroker } from "@caas/contract/mqtt/read-packets.ts";
import {
  disconnect,
  encodeConnect,
  encodePuback,
  encodePublish,
  encodeSubscribe,
  pingRequest,
} from "@caas/contract/mqtt/write-packets.ts";
import type { Logger } from "pino";
// The control plane's end of the link: MQTT 3.1.1 over `net`, because messages must be acknowledged in batches after
// the transaction that took them in has committed. A client library acknowledges by itself.

export type LinkTls = { ca: string; key: string; cert: string };

export type LinkOptions = {
  /** `mqtt://host:port` or `mqtts://host:port`; several with commas are processes of one broker. */
  url: string;
  clientId: string;
  username: string | null;
  password: string | null;
  tls: LinkTls | null;
  subscriptions: readonly { topic: string; qos: 0 | 1 }[];
  /** Before the subscriptions are made, at every (re)connect. */
  onConnecting(): Promise<void>;
  /** The subscriptions are in force, at every (re)connect. */
  onConnected?(): void;
  /** `acknowledge` is called once the message may be forgotten. */
  onMessage(message: { topic: string; payload: Buffer; acknowledge(): void }): void;
  random: () => number;
  logger: Logger;
};

export type MqttLink = {
  start(): void;
  stop(): Promise<void>;
  isConnected(): boolean;
  /** Resolves as soon as the subscriptions are in force. */
  connected(): Promise<void>;
  /** Does not wait for a PUBACK: a broker acknowledges before it stores, so nothing relies on it. */
  publish(topic: string, payload: string | Buffer, qos: 0 | 1): boolean;
};

const keepAliveSeconds = 30;
const connectTimeoutMs = 10_000;
const ofRetries = { firstMs: 100, longestMs: 10_000 };
const packetIds = 65_535;
/** Far above the limit of our broker (64 KiB). */
const maxPacketBytes = 1_048_576;
const refusedSubscription = 0x80;
/** Messages of one turn of the event loop go out in one system call, or in a few of about this size. */
const gatheredBytes = 65_536;

export function createMqttLink(options: LinkOptions): MqttLink {
  const { logger } = options;
  const round = createBrokerRound(options.url, options.clientId);
  let socket: Socket | undefined;
  let state: "down" | "connecting" | "up" = "down";
  let stopped = true;
  let failures = 0;
  let retry: NodeJS.Timeout | undefined;
  let keepAlive: NodeJS.Timeout | undefined;
  let heard = true;
  let packetId = 0;
  let connectedWaiters: (() => void)[] = [];

  function nextId(): number {
    packetId = (packetId % packetIds) + 1;
    return packetId;
  }

  /** Waits for the end of this turn. */
  let gathered: Buffer[] = [];
  let gatheredLength = 0;

  function send(bytes: Buffer): void {
    if (gathered.length === 0) setImmediate(flush);
    gathered.push(bytes);
    gatheredLength += bytes.length;
    if (gatheredLength >= gatheredBytes) flush();
  }

  function flush(): void {
    const all = gathered;
    gathered = [];
    gatheredLength = 0;
    if (all.length > 0 && socket !== undefined && !socket.destroyed) socket.write(Buffer.concat(all));
  }

  function open(): void {
    const url = new URL(round.current());
    const port = Number(url.port || (url.protocol === "mqtts:" ? 8883 : 1883));
    const current =
      url.protocol === "mqtts:"
        ? connectTls({ host: url.hostname, port, ...(options.tls ?? {}) })
        : connectTcp({ host: url.hostname, port });
    socket = current;
    state = "connecting";
    current.setNoDelay(true);
    current.setTimeout(connectTimeoutMs, () =>
      current.destroy(new Error("the broker did not answer in time")),
    );
    const read = createPacketReader(maxPacketBytes, (packet) => {
      heard = true;
      if (packet.kind === "publish") deliver(current, packet);
      else void receive(current, packet);
    });
    current.once(url.protocol === "mqtts:" ? "secureConnect" : "connect", () => {
      const { clientId, username, password } = options;
      const credentials = username === null ? null : { username, password };
      send(encodeConnect({ clientId, keepAliveSeconds, credentials, will: null }));
    });
    current.on("data", (bytes: Buffer) => {
      try {
        read(bytes);
      } catch (error) {
        current.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
    current.on("error", (error) => logger.warn({ err: error }, "the link to the broker failed"));
    current.on("close", () => lost(current));
  }

  async function receive(
    current: Socket,
    packet: Exclude<PacketFromBroker, { kind: "publish" }>,
  ): Promise<void> {
    switch (packet.kind) {
      case "connack":
        if (packet.returnCode !== 0)
          return void current.destroy(new Error(`the broker refused us with code ${packet.returnCode}`));
        try {
          await options.onConnecting();
        } catch (error) {
          return void current.destroy(error instanceof Error ? error : new Error(String(error)));
        }
        if (current !== socket) return;
        send(encodeSubscribe(nextId(), options.subscriptions));
        return;
      case "suback":
        if (packet.returnCodes.includes(refusedSubscription))
          return void current.destroy(new Error("the broker refused a subscription"));
        current.setTimeout(0);
        state = "up";
        failures = 0;
        watchKeepAlive(current);
        for (const resolve of connectedWaiters) resolve();
        connectedWaiters = [];
        logger.info({ broker: round.current() }, "linked to the broker");
        options.onConnected?.();
        return;
      case "puback":
      case "pingresp":
        return;
    }
  }

  function deliver(current: Socket, packet: Extract<PacketFromBroker, { kind: "publish" }>): void {
    const { topic, payload, qos, id } = packet;
    options.onMessage({
      topic,
      payload,
      acknowledge: () => {
        // On a newer connection the id belongs to another message; the car repeats unacknowledged ones.
        if (qos === 1 && current === socket) send(encodePuback(id));
      },
    });
  }

  function watchKeepAlive(current: Socket): void {
    clearInterval(keepAlive);
    heard = true;
    keepAlive = setInterval(
      () => {
        if (!heard) return void current.destroy(new Error("the broker fell silent"));
        heard = false;
        send(pingRequest);
      },
      (keepAliveSeconds * 1_000) / 2,
    );
  }

  function lost(current: Socket): void {
    if (current !== socket) return;
    clearInterval(keepAlive);
    if (state !== "up") round.failed();
    state = "down";
    socket = undefined;
    gathered = [];
    gatheredLength = 0;
    if (stopped) return;
    retry = setTimeout(open, backoffMs(failures, options.random, ofRetries));
    failures += 1;
  }

  return {
    start() {
      stopped = false;
      open();
    },
    async stop() {
      stopped = true;
      clearTimeout(retry);
      clearInterval(keepAlive);
      const current = socket;
      if (current === undefined || current.destroyed) return;
      await new Promise<void>((resolve) => {
        current.once("close", () => resolve());
        send(disconnect);
        flush();
        current.end();
        setTimeout(() => current.destroy(), 500).unref();
      });
    },
    isConnected: () => state === "up",
    connected: () =>
      state === "up" ? Promise.resolve() : new Promise((resolve) => connectedWaiters.push(resolve)),
    publish(topic, payload, qos) {
      if (state !== "up") return false;
      send(encodePublish({ topic, payload, qos, retain: false }, qos === 0 ? 0 : nextId()));
      return true;
    },
  };
}
