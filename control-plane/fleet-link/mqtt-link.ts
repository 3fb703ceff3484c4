import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import mqttPacket, { type IPublishPacket, type Packet } from "mqtt-packet";
import type { Logger } from "pino";

// The control plane's end of the link: MQTT 3.1.1 over `net`, because a message must be acknowledged after the
// transaction that took it in has committed, and whole batches at once. A client library acknowledges for us.

export type LinkTls = { ca: string; key: string; cert: string };

export type LinkOptions = {
  /** `mqtt://host:port` or `mqtts://host:port` */
  url: string;
  clientId: string;
  username: string | null;
  password: string | null;
  tls: LinkTls | null;
  subscriptions: readonly { topic: string; qos: 0 | 1 }[];
  /** Before the subscriptions are made, at every (re)connect. */
  onConnecting(): Promise<void>;
  /** The subscriptions stand, at every (re)connect. */
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
  /** Resolves at the first moment the subscriptions stand. */
  connected(): Promise<void>;
  /** QoS 1 without waiting for the PUBACK: a broker acknowledges before it stores, so nothing rests on it. */
  publish(topic: string, payload: string | Buffer): boolean;
};

const keepAliveSeconds = 30;
const connectTimeoutMs = 10_000;
const firstRetryMs = 100;
const lastRetryMs = 10_000;
const packetIds = 65_535;

export function createMqttLink(options: LinkOptions): MqttLink {
  const { logger } = options;
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

  function send(packet: Packet): void {
    if (socket !== undefined && !socket.destroyed) mqttPacket.writeToStream(packet, socket);
  }

  function open(): void {
    const url = new URL(options.url);
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
    const parser = mqttPacket.parser({ protocolVersion: 4 });
    current.once(url.protocol === "mqtts:" ? "secureConnect" : "connect", () => {
      send({
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: 4,
        clean: true,
        clientId: options.clientId,
        keepalive: keepAliveSeconds,
        ...(options.username === null ? {} : { username: options.username }),
        ...(options.password === null ? {} : { password: Buffer.from(options.password) }),
      });
    });
    parser.on("packet", (packet: Packet) => {
      heard = true;
      void receive(current, packet);
    });
    parser.on("error", (error: Error) => current.destroy(error));
    current.on("data", (bytes: Buffer) => parser.parse(bytes));
    current.on("error", (error) => logger.warn({ err: error }, "the link to the broker failed"));
    current.on("close", () => lost(current));
  }

  async function receive(current: Socket, packet: Packet): Promise<void> {
    switch (packet.cmd) {
      case "connack":
        if (packet.returnCode !== 0)
          return void current.destroy(new Error(`the broker refused us with code ${packet.returnCode}`));
        try {
          await options.onConnecting();
        } catch (error) {
          return void current.destroy(error instanceof Error ? error : new Error(String(error)));
        }
        send({
          cmd: "subscribe",
          messageId: nextId(),
          subscriptions: options.subscriptions.map(({ topic, qos }) => ({ topic, qos })),
        });
        return;
      case "suback":
        if (packet.granted.some((granted) => granted === 128))
          return void current.destroy(new Error("the broker refused a subscription"));
        current.setTimeout(0);
        state = "up";
        failures = 0;
        watchKeepAlive(current);
        for (const resolve of connectedWaiters) resolve();
        connectedWaiters = [];
        logger.info({ broker: options.url }, "linked to the broker");
        options.onConnected?.();
        return;
      case "publish":
        return deliver(current, packet);
      default:
        return;
    }
  }

  function deliver(current: Socket, packet: IPublishPacket): void {
    const { messageId } = packet;
    options.onMessage({
      topic: packet.topic,
      payload: Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload),
      acknowledge: () => {
        // On a newer connection the id means another message: the car repeats what was not acknowledged.
        if (packet.qos === 1 && messageId !== undefined && current === socket)
          send({ cmd: "puback", messageId });
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
        send({ cmd: "pingreq" });
      },
      (keepAliveSeconds * 1_000) / 2,
    );
  }

  function lost(current: Socket): void {
    if (current !== socket) return;
    clearInterval(keepAlive);
    state = "down";
    socket = undefined;
    if (stopped) return;
    const ceilingMs = Math.min(lastRetryMs, firstRetryMs * 2 ** failures);
    failures += 1;
    retry = setTimeout(open, options.random() * ceilingMs);
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
        send({ cmd: "disconnect" });
        current.end();
        setTimeout(() => current.destroy(), 500).unref();
      });
    },
    isConnected: () => state === "up",
    connected: () =>
      state === "up" ? Promise.resolve() : new Promise((resolve) => connectedWaiters.push(resolve)),
    publish(topic, payload) {
      if (state !== "up") return false;
      send({ cmd: "publish", topic, payload, qos: 1, messageId: nextId(), dup: false, retain: false });
      return true;
    },
  };
}
