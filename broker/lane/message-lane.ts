import { bodyLength, bodyStart, packetType } from "@caas/contract/mqtt/fixed-header.ts";
import { encodePuback, pingResponse } from "@caas/contract/mqtt/write-packets.ts";
import type { Message } from "../access/access.ts";
import type { ServedClient } from "../aedes/served-client.ts";
import type { TopicSwitch } from "./topic-switch.ts";

// Most of what a broker is handed are messages that pass right through, their acknowledgements, and pings. aedes makes
// objects of each, hands them through a dozen callbacks and puts the same bytes together again. Here they are judged by
// the same rules and handed on as they came. Everything else (who connects, subscribes or leaves, what is retained,
// wills) is aedes'. Within one topic nothing overtakes: which way a message goes is decided by its topic's kind.

/** A message as it came; its bytes may be changed once nobody else is handed them. */
export type Frame = {
  topic: string;
  qos: 0 | 1;
  /** The whole packet. */
  bytes: Buffer;
  /** Where the packet identifier's two bytes lie, with QoS 1; what follows it otherwise. */
  idAt: number;
};

/** What lanes ask and tell, one for all; `C` is a connection. */
export type LaneParts<C> = {
  hearers: TopicSwitch<Frame>;
  /** `aedes`: not for the lane. `refused`: the connection is over. */
  judge(connection: C, message: Message): "passes" | "aedes" | "refused";
  /** Asked before a client is sent a message with QoS 1. */
  mayHave(connection: C): boolean;
  /** Nothing that came this way is waited for any more. */
  becameIdle(connection: C): void;
};

export type Lane = {
  /** Handles what it can; what is left for aedes, whole packets, or `null`. */
  take(chunk: Buffer): Buffer | null;
  /** While a hearer's socket is full the connection shall not be read. */
  isBusy(): boolean;
};

/** Taken again and again: a socket's gathered writes are copied at once. */
const acknowledgement = encodePuback(0);
const dupFlag = 0x08;

/** For a connection of which nothing but its CONNECT has come so far. */
export function openLane<C>(parts: LaneParts<C>, connection: C, client: ServedClient): Lane {
  return new MessageLane(parts, connection, client);
}

/** A class, because there is one a connection. */
class MessageLane<C> implements Lane {
  readonly #parts: LaneParts<C>;
  readonly #connection: C;
  readonly #client: ServedClient;
  /** The pieces of a packet whose end has not come. */
  #held: Buffer[] | null = null;
  #heldBytes = 0;
  /** How many bytes make it worth looking again. */
  #wantedBytes = 0;
  #unanswered = 0;

  constructor(parts: LaneParts<C>, connection: C, client: ServedClient) {
    this.#parts = parts;
    this.#connection = connection;
    this.#client = client;
  }

  isBusy(): boolean {
    return this.#unanswered > 0;
  }

  take(chunk: Buffer): Buffer | null {
    const bytes = this.#join(chunk);
    if (bytes === null) return null;
    let rest: Buffer | null = null;
    let at = 0;
    while (at < bytes.length) {
      const bodyAt = bodyStart(bytes, at);
      const end = bodyAt === 0 ? 0 : bodyAt + bodyLength(bytes, at, bodyAt);
      if (end === 0 || end > bytes.length) {
        this.#hold(bytes.subarray(at), end === 0 ? 0 : end - at);
        break;
      }
      const verdict = this.#handle(bytes, at, bodyAt, end);
      if (verdict === "over") return null;
      if (verdict === "aedes") {
        const packet = bytes.subarray(at, end);
        rest = rest === null ? packet : Buffer.concat([rest, packet]);
        // What comes behind a DISCONNECT is nobody's. [MQTT-3.14.4-2]
        if ((bytes[at] ?? 0) >> 4 === packetType.disconnect) return rest;
      }
      at = end;
    }
    this.#client.wasHeard();
    return rest;
  }

  #join(chunk: Buffer): Buffer | null {
    if (this.#held === null) return chunk;
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes < this.#wantedBytes) return null;
    const bytes = Buffer.concat(this.#held, this.#heldBytes);
    this.#held = null;
    return bytes;
  }

  #hold(piece: Buffer, wantedBytes: number): void {
    this.#held = [piece];
    this.#heldBytes = piece.length;
    this.#wantedBytes = wantedBytes;
  }

  #handle(bytes: Buffer, at: number, bodyAt: number, end: number): "done" | "aedes" | "over" {
    const first = bytes[at] ?? 0;
    switch (first >> 4) {
      case packetType.publish:
        return this.#publish(bytes, at, bodyAt, end);
      case packetType.puback:
        // Sessions are clean: nothing is kept that it could end. The guard has counted it.
        return first === 0x40 && end - bodyAt === 2 ? "done" : "aedes";
      case packetType.pingreq:
        if (first !== 0xc0 || end !== bodyAt) return "aedes";
        this.#say(pingResponse);
        return "done";
      default:
        return "aedes";
    }
  }

  #publish(bytes: Buffer, at: number, bodyAt: number, end: number): "done" | "aedes" | "over" {
    const first = bytes[at] ?? 0;
    const qos = (first >> 1) & 0x03;
    const idAt = bodyAt + 2 + (((bytes[bodyAt] ?? 0) << 8) | (bytes[bodyAt + 1] ?? 0));
    // Malformed; aedes says so.
    if (qos === 3 || (qos === 0 && (first & dupFlag) !== 0)) return "aedes";
    if (end < bodyAt + 2 || end < idAt + (qos === 0 ? 0 : 2)) return "aedes";
    const topic = bytes.toString("latin1", bodyAt + 2, idAt);
    const isKnownQos = qos === 0 || qos === 1;
    const message: Message = { topic, qos: isKnownQos ? qos : 2, retain: (first & 1) !== 0 };
    const verdict = this.#parts.judge(this.#connection, message);
    if (verdict === "refused") return "over";
    if (verdict === "aedes" || !isKnownQos) return "aedes";
    if (qos === 1) {
      // Before anybody has it, as aedes does: nothing here rests on an acknowledgement.
      acknowledgement[2] = bytes[idAt] ?? 0;
      acknowledgement[3] = bytes[idAt + 1] ?? 0;
      this.#say(acknowledgement);
    }
    bytes[at] = first & ~dupFlag; // [MQTT-3.3.1-3]
    this.#unanswered += 1;
    const frame: Frame = { topic, qos, bytes: bytes.subarray(at, end), idAt: idAt - at };
    this.#parts.hearers.emit(frame, this.#answered);
    return "done";
  }

  #say(bytes: Buffer): void {
    if (this.#client.conn.write(bytes)) return;
    this.#unanswered += 1;
    this.#client.waitForDrain(this.#answered);
  }

  readonly #answered = (): void => {
    this.#unanswered -= 1;
    if (this.#unanswered === 0) this.#parts.becameIdle(this.#connection);
  };
}
