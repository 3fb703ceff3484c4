import type { Socket } from "node:net";
import { Duplex } from "node:stream";

/**
 * Reads chunks of MQTT, cut anywhere; false once a fixed header announces more than `limitBytes`: aedes would
 * collect that, whoever sends it, before knowing him (MQTT 3.1.1, 2.2.3).
 */
export function createPacketSizeCheck(limitBytes: number): (chunk: Buffer) => boolean {
  let isHeader = true;
  let lengthBytes = 0;
  let leftBytes = 0;

  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      if (isHeader) {
        isHeader = false;
        lengthBytes = 0;
        leftBytes = 0;
        at += 1;
      } else if (lengthBytes >= 0) {
        const byte = chunk.readUInt8(at);
        leftBytes += (byte & 0x7f) * 128 ** lengthBytes;
        if (leftBytes > limitBytes) return false;
        // From here on -1: the length is known.
        lengthBytes = byte < 0x80 ? -1 : lengthBytes + 1;
        isHeader = lengthBytes === -1 && leftBytes === 0;
        at += 1;
      } else {
        const taken = Math.min(leftBytes, chunk.length - at);
        leftBytes -= taken;
        at += taken;
        isHeader = leftBytes === 0;
      }
    }
    return true;
  };
}

/** The connection of `socket` as long as `isAllowed` says yes to what is read from it. */
export function limitConnection(
  socket: Socket,
  isAllowed: (chunk: Buffer) => boolean,
  onTooLarge: () => void,
): Duplex {
  const connection = new Duplex({
    read: () => void socket.resume(),
    write: (chunk: Buffer, _encoding, done) => void socket.write(chunk, done),
    final: (done) => void socket.end(done),
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  socket
    .on("data", (chunk: Buffer) => {
      if (!isAllowed(chunk)) {
        onTooLarge();
        connection.destroy();
      } else if (!connection.push(chunk)) socket.pause();
    })
    .on("end", () => connection.push(null))
    .on("error", () => connection.destroy())
    .on("close", () => connection.destroy());
  return connection;
}
