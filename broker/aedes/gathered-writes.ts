import type { Socket } from "node:net";
import { Duplex } from "node:stream";

// aedes writes a message in six pieces and hands every message to the system by itself. A system call to a socket
// costs as much as all the rest of a message: so what one turn of the event loop says to a client is put together
// here and goes out in one call. Nothing waits longer than that turn.

/** Makes a socket's writes wait for the end of the turn; to be called once a socket. */
export type Gather = (socket: Socket) => void;

/** Taken again and again as long as the system takes over what is in it at once. */
const slabBytes = 256 * 1024;
/** What is larger is not worth copying: the socket keeps it as it is until it is sent. */
export const maxPieceBytes = 16 * 1024;

/** One for all sockets of a broker; `atEndOfTurn` is `setImmediate` outside of tests. */
export function createGather(atEndOfTurn: (run: () => void) => void): Gather {
  let slab = Buffer.allocUnsafeSlow(slabBytes);
  let used = 0;
  let isDue = false;
  /** Where in the slab each socket's bytes lie: start, end, start, end, … */
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

  /** Hands a socket its bytes; whether the slab may be written again. */
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
    // What came before it goes first.
    if (pieces.has(this)) flush();
    return write.call(this, chunk);
  }

  // Without `cork` the encoder leaves corking to us, and one tick a message less is scheduled.
  const replaced = { write: writeLater, cork: undefined };
  return (socket) => void Object.assign(socket, replaced);
}

const write: (this: Duplex, chunk: Uint8Array | string) => boolean = Duplex.prototype.write;
