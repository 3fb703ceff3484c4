import { packetType, startPacket } from "./fixed-header.ts";

// The few packets of MQTT 3.1.1 that the platform writes by itself. A general codec costs more for a message than all
// the rest of a link; a test holds these against one.

export type ConnectFields = {
  clientId: string;
  keepAliveSeconds: number;
  /** None over TLS, where the certificate is the proof. */
  credentials: { username: string; password: string | null } | null;
  will: { topic: string; payload: string; qos: 0 | 1; retain: boolean } | null;
};

export const pingRequest: Buffer = Buffer.from([packetType.pingreq << 4, 0]);
export const pingResponse: Buffer = Buffer.from([packetType.pingresp << 4, 0]);
export const disconnect: Buffer = Buffer.from([packetType.disconnect << 4, 0]);

/** With a clean session, always: nothing bounds what a broker would keep for an absent client. */
export function encodeConnect({ clientId, keepAliveSeconds, credentials, will }: ConnectFields): Buffer {
  const protocolLevel = 4;
  const cleanSession = 0x02;
  const willFlags = will === null ? 0 : 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0);
  const username = credentials?.username ?? null;
  const password = credentials?.password ?? null;
  const flags = cleanSession | willFlags | (username === null ? 0 : 0x80) | (password === null ? 0 : 0x40);
  return joinPacket(packetType.connect << 4, [
    text("MQTT"),
    Uint8Array.from([protocolLevel, flags]),
    number16(keepAliveSeconds),
    text(clientId),
    ...(will === null ? [] : [text(will.topic), text(will.payload)]),
    ...(username === null ? [] : [text(username)]),
    ...(password === null ? [] : [text(password)]),
  ]);
}

/** For a new, clean session. @param returnCode 0 accepts (3.2.2.3) */
export function encodeConnack(returnCode: number): Buffer {
  return Buffer.from([packetType.connack << 4, 2, 0, returnCode]);
}

export function encodeSubscribe(id: number, subscriptions: readonly { topic: string; qos: 0 | 1 }[]): Buffer {
  const reservedFlags = 0x02; // [MQTT-3.8.1-1]
  return joinPacket((packetType.subscribe << 4) | reservedFlags, [
    number16(id),
    ...subscriptions.flatMap(({ topic, qos }) => [text(topic), Uint8Array.from([qos])]),
  ]);
}

/** `id` counts with QoS 1 only. */
export function encodePublish(
  message: { topic: string; payload: string | Uint8Array; qos: 0 | 1; retain: boolean },
  id: number,
): Buffer {
  const { topic, payload, qos, retain } = message;
  // Thousands a second: written in one piece, without parts.
  const topicBytes = Buffer.byteLength(topic);
  const payloadBytes = typeof payload === "string" ? Buffer.byteLength(payload) : payload.length;
  const length = 2 + topicBytes + 2 * qos + payloadBytes;
  const packet = startPacket((packetType.publish << 4) | (qos << 1) | (retain ? 1 : 0), length);
  let at = packet.writeUInt16BE(topicBytes, packet.length - length);
  at += packet.write(topic, at);
  if (qos === 1) at = packet.writeUInt16BE(id, at);
  if (typeof payload === "string") packet.write(payload, at);
  else packet.set(payload, at);
  return packet;
}

export function encodePuback(id: number): Buffer {
  return Buffer.from([packetType.puback << 4, 2, id >> 8, id & 0xff]);
}

function joinPacket(firstByte: number, parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const packet = startPacket(firstByte, length);
  let at = packet.length - length;
  for (const part of parts) {
    packet.set(part, at);
    at += part.length;
  }
  return packet;
}

/** UTF-8 with its length in two bytes (1.5.3). */
function text(value: string): Buffer {
  const bytes = Buffer.allocUnsafe(2 + Buffer.byteLength(value));
  bytes.writeUInt16BE(bytes.length - 2, 0);
  bytes.write(value, 2);
  return bytes;
}

function number16(value: number): Uint8Array {
  return Uint8Array.from([value >> 8, value & 0xff]);
}
