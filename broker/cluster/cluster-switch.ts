import { revocationTopic } from "@caas/contract/revocation-list.ts";
import { parseTopic, topicKindsToCar } from "@caas/contract/topics.ts";
import { aedesPacket, isForSiblings } from "../aedes/packets.ts";
import { createTopicSwitch, type Listener, type TopicSwitch } from "../lane/topic-switch.ts";
import {
  type BusMessage,
  decodeBusMessage,
  decodeNewcomer,
  encodeBusMessage,
  encodeNewcomer,
} from "./bus-message.ts";
import type { RedisBus } from "./redis-bus.ts";

type Spoken = { topic: string; payload?: string | Buffer; qos?: number };

/** The channel that carries a topic's messages; `null`: they stay in this process. */
export type ChannelOf = (topicOrFilter: string) => string | null;

const toCar: ReadonlySet<string> = new Set(topicKindsToCar);
/** Asks the other processes for the presence of their cars. */
const askTopic = (id: string): string => `$SYS/${id}/ask/presence`;
/** aedes' own: a client has connected. */
const newcomerTopic = (id: string): string => `$SYS/${id}/new/clients`;

/**
 * One channel per car for messages to it, so that Redis sends them to the one process where that car is; one channel
 * per kind for messages from cars, subscribed to only where a control plane is connected.
 */
export function createChannels(prefix: string): ChannelOf & { readonly system: string } {
  const system = `${prefix}:system`;
  const channelOf = (topic: string): string | null => {
    if (topic === revocationTopic || topic.startsWith("$SYS/")) return system;
    const own = parseTopic(topic);
    if (own !== null) return toCar.has(own.kind) ? `${prefix}:car:${own.vin}` : `${prefix}:fleet:${own.kind}`;
    const kind = /^caas\/v1\/\+\/([a-z-]+)$/.exec(topic)?.[1];
    return kind === undefined ? null : `${prefix}:fleet:${kind}`;
  };
  return Object.assign(channelOf, { system });
}

/**
 * Passes messages to subscribers in this process, and to the other processes over Redis. A message published here for
 * a car that is here does not cross. A process that subscribes to a channel it publishes on gets its own messages back
 * from Redis; it knows them by their sender.
 */
export function createClusterSwitch(options: {
  id: string;
  bus: Pick<RedisBus, "hear" | "leave" | "say">;
  channelOf: ChannelOf;
  /** A list of revoked cars came from another process. */
  onRevocations(payload: string): void;
  /** The number of the connection that a car has here; `null` for a client without one, or one that is not here. */
  connectionOf(clientId: string): number | null;
  /** A client here is taken over by its connection to another process. */
  onTakenOver(clientId: string): void;
  /** Another process has missed messages, and a control plane there needs the presences. */
  onAsked(): void;
}): TopicSwitch & {
  take(channel: string, bytes: Buffer): void;
  spread(message: Omit<BusMessage, "from">): void;
  askForPresences(): void;
} {
  const { id, bus, channelOf, onRevocations, onAsked, connectionOf } = options;
  const local = createTopicSwitch();

  function spread({ topic, qos, payload }: Omit<BusMessage, "from">): void {
    const channel = channelOf(topic);
    if (channel !== null) bus.say(channel, encodeBusMessage({ from: id, topic, qos, payload }));
  }

  function crosses(topic: string): boolean {
    if (topic.startsWith("$SYS/")) return isForSiblings(topic);
    const own = parseTopic(topic);
    return own === null || !toCar.has(own.kind) || !local.hears(topic);
  }

  /**
   * What aedes says of a newcomer, with the number of its connection: the word may be late, and the car may have a newer
   * connection by then at the process that hears it.
   */
  function introduce(payload: Spoken["payload"]): Buffer {
    const clientId = String(payload ?? "");
    return encodeNewcomer({ clientId, connection: connectionOf(clientId) });
  }

  function hearOfNewcomer(topic: string, payload: Buffer): void {
    const newcomer = decodeNewcomer(payload);
    if (newcomer === null) return;
    const { clientId, connection } = newcomer;
    const own = connectionOf(clientId);
    if (own !== null && connection !== null && own > connection) return;
    if (own !== null) options.onTakenOver(clientId);
    local.emit(aedesPacket({ topic, qos: 0, payload: Buffer.from(clientId), retain: false }));
  }

  const cluster = {
    on(filter: string, listener: Listener, done?: () => void) {
      const channel = channelOf(filter);
      local.on(filter, listener);
      if (channel === null) {
        if (done !== undefined) setImmediate(done);
      } else bus.hear(channel, done);
      return cluster;
    },
    removeListener(filter: string, listener: Listener, done?: () => void) {
      const channel = channelOf(filter);
      if (channel !== null) bus.leave(channel);
      local.removeListener(filter, listener, done);
      return cluster;
    },
    emit(message: Spoken, done?: (error?: Error | null) => void) {
      const { topic, qos } = message;
      if (crosses(topic))
        spread({
          topic,
          qos: qos === 0 || qos === undefined ? 0 : 1,
          payload:
            topic === newcomerTopic(id) ? introduce(message.payload) : Buffer.from(message.payload ?? ""),
        });
      local.emit(message, done);
      return cluster;
    },
    hears: (topic: string) => local.hears(topic),
    close: (done: () => void) => local.close(done),
    spread,
    askForPresences: () => spread({ topic: askTopic(id), qos: 0, payload: Buffer.alloc(0) }),
    take(_channel: string, bytes: Buffer) {
      const message = decodeBusMessage(bytes);
      if (message === null || message.from === id) return;
      const { topic, qos, payload } = message;
      if (topic === revocationTopic) onRevocations(payload.toString());
      else if (topic === askTopic(message.from)) onAsked();
      else if (topic === newcomerTopic(message.from)) hearOfNewcomer(topic, payload);
      else local.emit(aedesPacket({ topic, qos, payload, retain: false }));
    },
  };
  return cluster;
}
