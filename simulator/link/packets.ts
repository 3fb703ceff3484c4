// The few packets of MQTT 3.1.1 that a car says and hears, as bytes. A general codec keeps a buffer list and an
// event emitter a connection; thousands of cars in one process need none of that. A test holds it against one.

/** What the broker says to a car. */
export type PacketFromBroker =
  | { kind: "connack"; returnCode: number }
  | { kind: "suback"; id: number; returnCodes: readonly number[] }
  | { kind: "puback"; id: number }
  /** `id` is 0 with QoS 0; `payload` is a copy. */
  | { kind: "publish"; topic: string; payload: Buffer; qos: 0 | 1; id: number }
  | { kind: "pingresp" };

export type ConnectFields = {
  clientId: string;
  keepAliveSeconds: number;
  /** Both or neither: a certificate is proof enough over TLS. */
  credentials: { username: string; password: string } | null;
  will: { topic: string; payload: string; qos: 0 | 1; retain: boolean } | null;
};

/** A broker passes up to 64 KiB; what claims more is no broker of ours. */
const maxPacketBytes = 128 * 1024;

const firstByte = {
  connect: 0x10,
  publish: 0x30,
  puback: 0x40,
  subscribe: 0x82, // its reserved flags are 0010 [MQTT-3.8.1-1]
} as const;

export const pingRequest: Buffer = Buffer.from([0xc0, 0x00]);
export const disconnect: Buffer = Buffer.from([0xe0, 0x00]);

/** A UTF-8 text with its length in two bytes (MQTT 3.1.1, 1.5.3). */
function text(value: string): Buffer {
  const bytes = Buffer.allocUnsafe(2 + Buffer.byteLength(value));
  bytes.writeUInt16BE(bytes.length - 2, 0);
  bytes.write(value, 2);
  return bytes;
}

function withHeader(first: number, parts: readonly Uint8Array[]): Buffer {
  const rest = parts.reduce((sum, part) => sum + part.length, 0);
  const header = Buffer.alloc(1 + lengthBytes(rest), first);
  writeLength(header, rest);
  return Buffer.concat([header, ...parts]);
}

function number16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

/** With a clean session, always: nothing bounds what a broker would keep for an absent car. */
export function encodeConnect({ clientId, keepAliveSeconds, credentials, will }: ConnectFields): Buffer {
  const cleanSession = 0x02;
  const willFlags = will === null ? 0 : 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0);
  const flags = cleanSession | willFlags | (credentials === null ? 0 : 0xc0);
  return withHeader(firstByte.connect, [
    text("MQTT"),
    Uint8Array.from([4, flags]),
    number16(keepAliveSeconds),
    text(clientId),
    ...(will === null ? [] : [text(will.topic), text(will.payload)]),
    ...(credentials === null ? [] : [text(credentials.username), text(credentials.password)]),
  ]);
}

/** Each filter with QoS 1. */
export function encodeSubscribe(id: number, filters: readonly string[]): Buffer {
  return withHeader(firstByte.subscribe, [
    number16(id),
    ...filters.flatMap((filter) => [text(filter), Uint8Array.from([1])]),
  ]);
}

/** `id` counts with QoS 1 only. */
export function encodePublish(
  message: { topic: string; payload: string | Uint8Array; qos: 0 | 1; retain: boolean },
  id: number,
): Buffer {
  const { topic, payload, qos, retain } = message;
  // Thousands a second: put together in one piece, without parts.
  const topicBytes = Buffer.byteLength(topic);
  const payloadBytes = typeof payload === "string" ? Buffer.byteLength(payload) : payload.length;
  const rest = 2 + topicBytes + 2 * qos + payloadBytes;
  const packet = Buffer.allocUnsafe(1 + lengthBytes(rest) + rest);
  packet[0] = firstByte.publish | (qos << 1) | (retain ? 1 : 0);
  let at = writeLength(packet, rest);
  at = packet.writeUInt16BE(topicBytes, at);
  at += packet.write(topic, at);
  if (qos === 1) at = packet.writeUInt16BE(id, at);
  if (typeof payload === "string") packet.write(payload, at);
  else packet.set(payload, at);
  return packet;
}

function lengthBytes(rest: number): number {
  return rest < 0x80 ? 1 : rest < 0x4000 ? 2 : rest < 0x200000 ? 3 : 4;
}

/** The remaining length, seven bits a byte (MQTT 3.1.1, 2.2.3), behind the first byte; where it ends. */
function writeLength(packet: Buffer, length: number): number {
  let rest = length;
  let at = 1;
  do {
    packet[at] = (rest & 0x7f) | (rest > 0x7f ? 0x80 : 0);
    rest >>>= 7;
    at += 1;
  } while (rest > 0);
  return at;
}

export function encodePuback(id: number): Buffer {
  return Buffer.from([firstByte.puback, 2, id >> 8, id & 0xff]);
}

/**
 * Reads the broker's half of one connection, cut anywhere; chunks may be overwritten once it returns.
 * @throws Error at the first byte that is no packet a car may hear: the connection is over then.
 */
export function createPacketReader(take: (packet: PacketFromBroker) => void): (chunk: Buffer) => void {
  // Of a packet whose end has not come; almost always none.
  let rest: Buffer | null = null;
  return (chunk) => {
    const bytes = rest === null ? chunk : Buffer.concat([rest, chunk]);
    rest = null;
    let position = 0;
    while (position < bytes.length) {
      const length = remainingLength(bytes, position + 1);
      const end = length === null ? Number.POSITIVE_INFINITY : length.bodyAt + length.bytes;
      if (length === null || end > bytes.length) {
        rest = Buffer.from(bytes.subarray(position));
        return;
      }
      take(decode(bytes.readUInt8(position), bytes.subarray(length.bodyAt, end)));
      position = end;
    }
  };
}

/** `null` while its last byte has not come. */
function remainingLength(bytes: Buffer, at: number): { bytes: number; bodyAt: number } | null {
  let length = 0;
  for (let index = 0; index < 4; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) return null;
    length |= (byte & 0x7f) << (7 * index);
    if (byte < 0x80) {
      if (length > maxPacketBytes) throw new Error(`the broker sent a packet of ${length} bytes`);
      return { bytes: length, bodyAt: at + index + 1 };
    }
  }
  throw new Error("the broker sent a malformed length");
}

function decode(first: number, body: Buffer): PacketFromBroker {
  switch (first >> 4) {
    case 2:
      return { kind: "connack", returnCode: body.readUInt8(1) };
    case 3:
      return decodePublish(first, body);
    case 4:
      return { kind: "puback", id: body.readUInt16BE(0) };
    case 9:
      return { kind: "suback", id: body.readUInt16BE(0), returnCodes: [...body.subarray(2)] };
    case 13:
      return { kind: "pingresp" };
    default:
      throw new Error(`the broker sent a packet of type ${first >> 4}, which no car hears`);
  }
}

function decodePublish(first: number, body: Buffer): PacketFromBroker {
  const qos = (first >> 1) & 0x03;
  if (qos > 1) throw new Error(`the broker sent QoS ${qos}, which no car subscribed with`);
  const topicEnd = 2 + body.readUInt16BE(0);
  const payloadAt = qos === 1 ? topicEnd + 2 : topicEnd;
  if (payloadAt > body.length) throw new Error("the broker sent a message that ends inside its topic");
  return {
    kind: "publish",
    topic: body.toString("utf8", 2, topicEnd),
    payload: Buffer.from(body.subarray(payloadAt)),
    qos: qos === 1 ? 1 : 0,
    id: qos === 1 ? body.readUInt16BE(topicEnd) : 0,
  };
}
