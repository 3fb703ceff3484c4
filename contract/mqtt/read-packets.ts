import { bodyLength, bodyStart, packetType } from "./fixed-header.ts";

/** What a broker sends to a client that subscribes with QoS 0 or 1. */
export type PacketFromBroker =
  | { kind: "connack"; returnCode: number }
  | { kind: "suback"; id: number; returnCodes: readonly number[] }
  | { kind: "puback"; id: number }
  /** `id` is 0 with QoS 0; `payload` is a view of what was received: copy it to keep it. */
  | { kind: "publish"; topic: string; payload: Buffer; qos: 0 | 1; id: number }
  | { kind: "pingresp" };

/**
 * Reads the broker's half of one connection, cut anywhere; chunks may be overwritten once it returns.
 * @throws Error at the first packet that no client of ours may be sent: the connection is over then
 */
export function createPacketReader(
  maxPacketBytes: number,
  take: (packet: PacketFromBroker) => void,
): (chunk: Buffer) => void {
  /** Of a packet whose end has not come; almost always none. */
  let rest: Buffer | null = null;
  return (chunk) => {
    const bytes = rest === null ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (at < bytes.length) {
      const bodyAt = bodyStart(bytes, at);
      if (bodyAt === 0) break;
      const length = bodyLength(bytes, at, bodyAt);
      if (length > maxPacketBytes) throw new Error(`the broker sent a packet of ${length} bytes`);
      const end = bodyAt + length;
      if (end > bytes.length) break;
      take(decode(bytes.readUInt8(at), bytes.subarray(bodyAt, end)));
      at = end;
    }
    if (at === bytes.length) rest = null;
    else rest = bytes === chunk ? Buffer.from(bytes.subarray(at)) : bytes.subarray(at);
  };
}

function decode(first: number, body: Buffer): PacketFromBroker {
  switch (first >> 4) {
    case packetType.connack:
      return { kind: "connack", returnCode: body.readUInt8(1) };
    case packetType.publish:
      return decodePublish(first, body);
    case packetType.puback:
      return { kind: "puback", id: body.readUInt16BE(0) };
    case packetType.suback:
      return { kind: "suback", id: body.readUInt16BE(0), returnCodes: [...body.subarray(2)] };
    case packetType.pingresp:
      return { kind: "pingresp" };
    default:
      throw new Error(`the broker sent a packet of type ${first >> 4}, which no client expects`);
  }
}

function decodePublish(first: number, body: Buffer): PacketFromBroker {
  const qos = (first >> 1) & 0x03;
  if (qos > 1) throw new Error(`the broker sent QoS ${qos}, which no client subscribed with`);
  const topicEnd = 2 + body.readUInt16BE(0);
  const payloadAt = topicEnd + 2 * qos;
  if (payloadAt > body.length) throw new Error("the broker sent a message that ends inside its topic");
  return {
    kind: "publish",
    topic: body.toString("utf8", 2, topicEnd),
    payload: body.subarray(payloadAt),
    qos: qos === 1 ? 1 : 0,
    id: qos === 1 ? body.readUInt16BE(topicEnd) : 0,
  };
}
