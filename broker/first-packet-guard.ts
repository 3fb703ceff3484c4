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
 * After a fault the connection is over and the check with it.
 */
export function createFrameCheck(limits: FrameLimits): (chunk: Uint8Array) => FrameFault | undefined {
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

/**
 * Lets `socket.read()` return only what the check has passed; at a fault the socket is destroyed with a
 * `ConnectionFault`. A wrapping stream would do the same for twice the memory of a connection.
 */
export function guardFrames(socket: Socket, limits: FrameLimits): void {
  const check = createFrameCheck(limits);
  const read = socket.read.bind(socket);
  socket.read = (size?: number) => {
    const chunk: unknown = read(size);
    const fault = chunk instanceof Uint8Array ? check(chunk) : undefined;
    if (fault === undefined) return chunk;
    socket.destroy(new ConnectionFault(fault));
    return null;
  };
}
