import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { createFrameCheck, type FrameFault, type FrameLimits } from "@caas/contract/mqtt/frame-check.ts";
import { ConnectionFault } from "./connection-fault.ts";

/** Watches connections being read; one for all of them. */
export type ReadWatch<C> = {
  /** While paused nothing more is read; call `resume` when the pause ends. */
  isPaused(connection: C): boolean;
  onPacket(connection: C, firstByte: number): void;
  /** A chunk was read in which `packets` began. */
  took(connection: C, packets: number, bytes: number): void;
  /** The part of a chunk that is left for the socket's reader; `null` for nothing. */
  handle(connection: C, chunk: Buffer): Buffer | null;
};

/** Reads one connection. */
export type Intake = { resume(): void };

/**
 * Checks what a socket receives before it reaches the socket's own buffer; a fault destroys the socket with a
 * `ConnectionFault`. A wrapping stream would do the same for twice the memory per connection, and bytes that `handle`
 * keeps never go through the stream at all.
 */
export function guardFrames<C>(
  socket: Socket,
  limits: FrameLimits,
  watch: ReadWatch<C>,
  connection: C,
): Intake {
  const intake = new GuardedIntake(socket, limits, watch, connection);
  socket.push = (chunk: unknown) => intake.receive(chunk);
  // TLS may have delivered bytes together with the end of the handshake.
  const early: unknown = socket.readableLength > 0 ? socket.read() : null;
  if (early !== null) intake.receive(early);
  return intake;
}

/** A class, because there is one per connection. */
class GuardedIntake<C> implements Intake {
  readonly #socket: Socket;
  readonly #watch: ReadWatch<C>;
  readonly #connection: C;
  readonly #check: (chunk: Uint8Array) => FrameFault | undefined;
  #packets = 0;
  /** Received while paused: reading stops at the first piece, but over TLS more may already be on its way. */
  #waiting: Buffer[] | null = null;
  #isStopped = false;
  #isResuming = false;
  #hasEnded = false;

  constructor(socket: Socket, limits: FrameLimits, watch: ReadWatch<C>, connection: C) {
    this.#socket = socket;
    this.#watch = watch;
    this.#connection = connection;
    this.#check = createFrameCheck(limits, (firstByte) => {
      this.#packets += 1;
      watch.onPacket(connection, firstByte);
    });
  }

  /** @param chunk `null` at the end. @returns whether more may come */
  receive(chunk: unknown): boolean {
    if (!Buffer.isBuffer(chunk)) {
      this.#hasEnded = this.#waiting !== null;
      return this.#hasEnded ? false : push.call(this.#socket, null);
    }
    this.#packets = 0;
    const fault = this.#check(chunk);
    if (fault !== undefined) {
      this.#socket.destroy(new ConnectionFault(fault));
      return false;
    }
    const mustWait = this.#waiting !== null || this.#watch.isPaused(this.#connection);
    this.#watch.took(this.#connection, this.#packets, chunk.length);
    if (!mustWait) return this.#handle(chunk);
    this.#waiting ??= [];
    this.#waiting.push(chunk);
    this.#isStopped = true;
    return false;
  }

  #handle(chunk: Buffer): boolean {
    const rest = this.#watch.handle(this.#connection, chunk);
    const hasRoom = rest === null || push.call(this.#socket, rest);
    if (!this.#watch.isPaused(this.#connection)) return hasRoom;
    this.#isStopped = true;
    return false;
  }

  resume(): void {
    // Also called from within `handle`, where the current chunk comes first.
    if (this.#isResuming) return;
    this.#isResuming = true;
    while (this.#isStopped && !this.#watch.isPaused(this.#connection) && !this.#socket.destroyed) {
      const chunk = this.#waiting?.shift();
      if (chunk === undefined) {
        this.#isStopped = false;
        this.#waiting = null;
        // An empty chunk makes a stream read on.
        push.call(this.#socket, this.#hasEnded ? null : nothing);
      } else this.#handle(chunk);
    }
    this.#isResuming = false;
  }
}

const push: (this: Readable, chunk: Buffer | null) => boolean = Readable.prototype.push;
const nothing = Buffer.alloc(0);
