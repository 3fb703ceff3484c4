import { maxLengthBytes, packetType } from "./fixed-header.ts";

// Nothing bounds a packet in a broker's parser before it is complete: a peer that claims a huge one fills the memory
// before saying who it is. So each fixed header is read first, without copying and without holding data.

/** The largest remaining length in bytes, of the first packet and of every later one. */
export type FrameLimits = { maxFirstFrameBytes: number; maxFrameBytes: number };

export type FrameFault = "not-connect" | "first-frame-too-large" | "frame-too-large" | "malformed-length";

const connectHeader = packetType.connect << 4; // no flags [MQTT-3.1.0-1]

/**
 * A check that is handed every chunk a client sends, cut anywhere, and names the first fault it sees. After a fault
 * the connection is over and the check with it. `onPacket` is called for every fixed header.
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
