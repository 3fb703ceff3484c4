import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { FrameFault } from "@caas/contract/mqtt/frame-check.ts";

/** The connection of `socket`, which ends at the first chunk in which `check` finds a fault. */
export function checkConnection(
  socket: Socket,
  check: (chunk: Buffer) => FrameFault | undefined,
  onFault: (fault: FrameFault) => void,
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
      const fault = check(chunk);
      if (fault !== undefined) {
        onFault(fault);
        connection.destroy();
      } else if (!connection.push(chunk)) socket.pause();
    })
    .on("end", () => connection.push(null))
    .on("error", () => connection.destroy())
    .on("close", () => connection.destroy());
  return connection;
}
