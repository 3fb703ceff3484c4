// MQTT 3.1.1 as the control plane's end of the link needs it (OASIS standard, section 3): a general library spends
// more on a message than all the rest of the link.

/** What a broker sends. Acknowledgements of our own messages are not waited for. */
export type FrameFromBroker =
  | { kind: "connack"; returnCode: number }
  | { kind: "suback"; granted: readonly number[] }
  | { kind: "publish"; topic: string; payload: Buffer; qos: 0 | 1; packetId: number }
  /** PUBACK, PINGRESP: signs of life. */
  | { kind: "other" };

const types = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  subscribe: 8,
  suback: 9,
  pingreq: 12,
  disconnect: 14,
};
/** Of the remaining length: the standard's own limit of four bytes. */
const lengthBytes = 4;
/** Far above what our broker passes on (64 KiB). */
const longestFrame = 1_048_576;

export const pingreq = Buffer.from([types.pingreq << 4, 0]);
export const disconnect = Buffer.from([types.disconnect << 4, 0]);

/** Clean session, no will (3.1). */
export function encodeConnect(options: {
  clientId: string;
  keepAliveSeconds: number;
  username: string | null;
  password: string | null;
}): Buffer {
  const { clientId, keepAliveSeconds, username, password } = options;
  const cleanSession = 0x02;
  const flags = cleanSession | (username === null ? 0 : 0x80) | (password === null ? 0 : 0x40);
  const protocolLevel = 4;
  return frame(types.connect << 4, [
    text("MQTT"),
    Buffer.from([protocolLevel, flags, keepAliveSeconds >> 8, keepAliveSeconds & 0xff]),
    text(clientId),
    ...(username === null ? [] : [text(username)]),
    ...(password === null ? [] : [text(password)]),
  ]);
}

export function encodeSubscribe(
  packetId: number,
  subscriptions: readonly { topic: string; qos: 0 | 1 }[],
): Buffer {
  // The flags are fixed (3.8.1).
  return frame((types.subscribe << 4) | 0x02, [
    Buffer.from([packetId >> 8, packetId & 0xff]),
    ...subscriptions.flatMap(({ topic, qos }) => [text(topic), Buffer.from([qos])]),
  ]);
}

/** Not retained, for the first time (3.3). @param packetId of QoS 1; `null` sends with QoS 0 */
export function encodePublish(topic: string, payload: string | Buffer, packetId: number | null): Buffer {
  const topicBytes = Buffer.byteLength(topic);
  const payloadBytes = Buffer.byteLength(payload);
  const remaining = 2 + topicBytes + (packetId === null ? 0 : 2) + payloadBytes;
  const bytes = Buffer.allocUnsafe(1 + lengthBytes + remaining);
  let at = bytes.writeUInt8((types.publish << 4) | (packetId === null ? 0 : 0x02), 0);
  at = writeLength(bytes, at, remaining);
  at = bytes.writeUInt16BE(topicBytes, at);
  at += bytes.write(topic, at);
  if (packetId !== null) at = bytes.writeUInt16BE(packetId, at);
  at += typeof payload === "string" ? bytes.write(payload, at) : payload.copy(bytes, at);
  return bytes.subarray(0, at);
}

export function encodePuback(packetId: number): Buffer {
  return Buffer.from([types.puback << 4, 2, packetId >> 8, packetId & 0xff]);
}

function frame(head: number, parts: readonly Buffer[]): Buffer {
  const remaining = parts.reduce((sum, part) => sum + part.length, 0);
  const start = Buffer.alloc(1 + lengthBytes);
  const end = writeLength(start, start.writeUInt8(head, 0), remaining);
  return Buffer.concat([start.subarray(0, end), ...parts]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function writeLength(bytes: Buffer, from: number, value: number): number {
  let at = from;
  let left = value;
  do {
    const more = left > 0x7f ? 0x80 : 0;
    at = bytes.writeUInt8((left & 0x7f) | more, at);
    left >>>= 7;
  } while (left > 0);
  return at;
}

/**
 * Cuts a stream into frames. A payload is a view of what was received: whoever keeps it copies it.
 * @returns takes the next bytes, as they come; it throws for what is no MQTT, and the connection cannot go on
 */
export function createFrameReader(onFrame: (frame: FrameFromBroker) => void): (bytes: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (bytes) => {
    let left = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    for (;;) {
      const length = readLength(left);
      if (length === null || left.length < length.from + length.remaining) break;
      onFrame(readFrame(left[0] ?? 0, left.subarray(length.from, length.from + length.remaining)));
      left = left.subarray(length.from + length.remaining);
    }
    rest = left;
  };
}

/** The remaining length and where it begins; `null` while that has not come. */
function readLength(bytes: Buffer): { remaining: number; from: number } | null {
  let remaining = 0;
  for (let index = 0; index < lengthBytes; index += 1) {
    const byte = bytes[1 + index];
    if (byte === undefined) return null;
    remaining += (byte & 0x7f) * 128 ** index;
    if (remaining > longestFrame) throw new Error("the broker sent a message that is too long");
    if (byte < 0x80) return { remaining, from: 2 + index };
  }
  throw new Error("the broker sent a length of more than four bytes");
}

function readFrame(head: number, body: Buffer): FrameFromBroker {
  switch (head >> 4) {
    case types.connack:
      return { kind: "connack", returnCode: body.readUInt8(1) };
    case types.suback:
      return { kind: "suback", granted: [...body.subarray(2)] };
    case types.publish: {
      const qos = (head >> 1) & 0x03;
      // We never ask for QoS 2.
      if (qos > 1) throw new Error(`the broker sent a message of QoS ${qos}`);
      const topicEnd = 2 + body.readUInt16BE(0);
      const payloadFrom = topicEnd + 2 * qos;
      if (payloadFrom > body.length) throw new Error("the broker sent a message shorter than its topic");
      return {
        kind: "publish",
        topic: body.toString("utf8", 2, topicEnd),
        payload: body.subarray(payloadFrom),
        qos: qos === 1 ? 1 : 0,
        packetId: qos === 1 ? body.readUInt16BE(topicEnd) : 0,
      };
    }
    default:
      return { kind: "other" };
  }
}
