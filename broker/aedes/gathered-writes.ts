import type { Socket } from "node:net";
import { Duplex } from "node:stream";

// aedes writes a message in six pieces and passes every message to the system by itself. A system call to a socket
// costs as much as all the rest of a message, so everything that one turn of the event loop sends to a client is
// collected here and goes out in one call. Nothing waits longer than that turn.

/** Makes a socket's writes wait for the end of the turn; call it once per socket. */
export type Gather = (socket: Socket) => void;

/** Reused as long as the system takes over its content at once. */
const slabBytes = 256 * 1024;
/** A larger piece is not worth copying: the socket holds it as it is until it is sent. */
export const maxPieceBytes = 16 * 1024;

/** One for all sockets of a broker; `atEndOfTurn` is `setImmediate` outside of tests. */
export function createGather(atEndOfTurn: (run: () => void) => void): Gather {
  let slab = Buffer.allocUnsafeSlow(slabBytes);
  let used = 0;
  let isDue = false;
  /** The positions of each socket's bytes in the slab: start, end, start, end, … */
  const pieces = new Map<Socket, number[]>();
  let last: Socket | undefined;
  let lastPieces: number[] = [];

  function append(socket: Socket, chunk: Uint8Array | string): void {
    if (used + maxPieceBytes > slabBytes) flush();
    const start = used;
    if (typeof chunk === "string") used += slab.write(chunk, used);
    else {
      slab.set(chunk, used);
      used += chunk.length;
    }
    if (socket === last) {
      lastPieces[lastPieces.length - 1] = used;
      return;
    }
    last = socket;
    lastPieces = piecesOf(socket);
    lastPieces.push(start, used);
    if (isDue) return;
    isDue = true;
    atEndOfTurn(() => {
      isDue = false;
      flush();
    });
  }

  function piecesOf(socket: Socket): number[] {
    const known = pieces.get(socket);
    if (known !== undefined) return known;
    const fresh: number[] = [];
    pieces.set(socket, fresh);
    return fresh;
  }

  function flush(): void {
    let isTaken = true;
    for (const [socket, spans] of pieces) isTaken = hand(socket, spans) && isTaken;
    pieces.clear();
    last = undefined;
    used = 0;
    if (!isTaken) slab = Buffer.allocUnsafeSlow(slabBytes);
  }

  /** Writes a socket's bytes. @returns whether the slab may be reused */
  function hand(socket: Socket, spans: readonly number[]): boolean {
    if (socket.destroyed || socket.writableEnded) return true;
    const parts: Buffer[] = [];
    for (let index = 0; index < spans.length; index += 2)
      parts.push(slab.subarray(spans[index], spans[index + 1]));
    const [only] = parts;
    write.call(socket, parts.length === 1 && only !== undefined ? only : Buffer.concat(parts));
    return parts.length > 1 || socket.writableLength === 0;
  }

  function writeLater(this: Socket, chunk: Uint8Array | string): boolean {
    const mostBytes = typeof chunk === "string" ? chunk.length * 3 : chunk.length;
    if (mostBytes <= maxPieceBytes) {
      append(this, chunk);
      return !this.writableNeedDrain;
    }
    // Earlier pieces go first.
    if (pieces.has(this)) flush();
    return write.call(this, chunk);
  }

  // Without `cork` the encoder leaves corking to us, which saves a tick per message.
  const replaced = { write: writeLater, cork: undefined };
  return (socket) => void Object.assign(socket, replaced);
}

const write: (this: Duplex, chunk: Uint8Array | string) => boolean = Duplex.prototype.write;
