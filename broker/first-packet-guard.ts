import type { Socket } from "node:net";

// Nothing bounds a packet in aedes before it is parsed: whoever claims a huge one fills the memory before saying
// who he is. So each fixed header (MQTT 3.1.1, 2.2) is read here first, without copying and without holding data.

/** The largest "remaining length" in bytes, of the first packet and of every later one. */
export type FrameLimits = { maxFirstFrameBytes: number; maxFrameBytes: number };

export type FrameFault = "not-connect" | "first-frame-too-large" | "frame-too-large" | "malformed-length";

const connectHeader = 0x10; // type 1, flags 0 [MQTT-3.1.0-1]
const maxLengthBytes = 4; // MQTT 3.1.1, 2.2.3

/**
 * A check that is handed every chunk of one connection, cut anywhere, and names the first fault it sees.
 * After a fault the connection is over and the check with it. `onPacket` hears of every fixed header.
 */
export function createFrameCheck(
  limits: FrameLimits,
  onPacket: (firstByte: number) => void = () => {},
): (chunk: Uint8Array) => FrameFault | undefined {
  let isFirst = true;
  let awaits: "header" | "length" | "body" = "header";
  let lengthBytes = 0;
  let bodyBytes = 0;

  return (chunk) => {
    let position = 0;
    while (position < chunk.length) {
      if (awaits === "body") {
        const skipped = Math.min(bodyBytes, chunk.length - position);
        position += skipped;
        bodyBytes -= skipped;
        if (bodyBytes === 0) awaits = "header";
        continue;
      }
      const byte = chunk[position++] ?? 0;
      if (awaits === "header") {
        if (isFirst && byte !== connectHeader) return "not-connect";
        onPacket(byte);
        awaits = "length";
        lengthBytes = 0;
        bodyBytes = 0;
        continue;
      }
      bodyBytes += (byte & 0x7f) * 128 ** lengthBytes++;
      if (bodyBytes > (isFirst ? limits.maxFirstFrameBytes : limits.maxFrameBytes))
        return isFirst ? "first-frame-too-large" : "frame-too-large";
      if (byte >= 0x80) {
        if (lengthBytes === maxLengthBytes) return "malformed-length";
        continue;
      }
      isFirst = false;
      awaits = bodyBytes === 0 ? "header" : "body";
    }
    return undefined;
  };
}

/** Why the broker closed a connection by itself; `reason` is a metric label. */
export class ConnectionFault extends Error {
  override readonly name = "ConnectionFault";
  readonly reason: string;
  constructor(reason: string) {
    super(`connection closed: ${reason}`);
    this.reason = reason;
  }
}

/** Who looks on while a connection is read. */
export type ReadWatch = {
  /** While paused nothing is read; whoever ends the pause emits `readable`. */
  isPaused(): boolean;
  onPacket(firstByte: number): void;
  /** A chunk was read, in which `packets` began. */
  took(packets: number, bytes: number): void;
};

/**
 * Lets `socket.read()` return only what the check has passed; at a fault the socket is destroyed with a
 * `ConnectionFault`. A wrapping stream would do the same for twice the memory of a connection.
 */
export function guardFrames(socket: Socket, limits: FrameLimits, watch: ReadWatch): void {
  let packets = 0;
  const check = createFrameCheck(limits, (firstByte) => {
    packets += 1;
    watch.onPacket(firstByte);
  });
  const read = socket.read.bind(socket);
  socket.read = (size?: number) => {
    if (watch.isPaused()) return null;
    const chunk: unknown = read(size);
    if (!(chunk instanceof Uint8Array)) return chunk;
    packets = 0;
    const fault = check(chunk);
    if (fault === undefined) {
      watch.took(packets, chunk.length);
      return chunk;
    }
    socket.destroy(new ConnectionFault(fault));
    return null;
  };
}
