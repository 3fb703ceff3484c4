import { bodyLength, bodyStart, packetType } from "@caas/contract/mqtt/fixed-header.ts";
import { encodePuback, pingResponse } from "@caas/contract/mqtt/write-packets.ts";
import type { Message } from "../access/access.ts";
import type { ServedClient } from "../aedes/served-client.ts";
import type { TopicSwitch } from "./topic-switch.ts";

// Most packets a broker receives are messages that only pass through, their acknowledgements, and pings. aedes makes
// objects of each, passes them through a dozen callbacks and writes the same bytes again. Here the same rules judge
// them, and they are forwarded as they came. Everything else (connecting, subscribing, leaving, retained messages,
// wills) is left to aedes. Messages of one topic stay in order, because the kind of topic decides the way.

/** A message as it came; its bytes may be changed once no other subscriber receives them. */
export type Frame = {
  topic: string;
  qos: 0 | 1;
  /** The whole packet. */
  bytes: Buffer;
  /** Position of the packet identifier's two bytes with QoS 1; of the payload otherwise. */
  idAt: number;
};

/** Shared by all lanes; `C` is a connection. */
export type LaneParts<C> = {
  hearers: TopicSwitch<Frame>;
  /** `aedes`: not for the lane. `refused`: the connection has been ended. */
  judge(connection: C, message: Message): "passes" | "aedes" | "refused";
  /** Called before a client is sent a message with QoS 1. */
  mayHave(connection: C): boolean;
  /** The lane is no longer busy. */
  becameIdle(connection: C): void;
};

/** Reused for every message: gathered writes copy it at once. */
const acknowledgement = encodePuback(0);
const dupFlag = 0x08;

/** For a connection that has sent nothing but its CONNECT so far. A class, because there is one per connection. */
export class Lane<C> {
  readonly #parts: LaneParts<C>;
  readonly #connection: C;
  readonly #client: ServedClient;
  /** The pieces of an incomplete packet. */
  #held: Buffer[] | null = null;
  #heldBytes = 0;
  /** With fewer bytes it is still incomplete. */
  #wantedBytes = 0;
  #unanswered = 0;

  constructor(parts: LaneParts<C>, connection: C, client: ServedClient) {
    this.#parts = parts;
    this.#connection = connection;
    this.#client = client;
  }

  /** While a subscriber's socket is full the connection must not be read. */
  isBusy(): boolean {
    return this.#unanswered > 0;
  }

  /** Handles what it can. @returns whole packets that are left for aedes, or `null` */
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
        // Nothing after a DISCONNECT is read. [MQTT-3.14.4-2]
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
        // Sessions are clean, so nothing is stored that it would release. The guard has counted it.
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
    // Malformed: aedes ends the connection.
    if (qos === 3 || (qos === 0 && (first & dupFlag) !== 0)) return "aedes";
    if (end < bodyAt + 2 || end < idAt + (qos === 0 ? 0 : 2)) return "aedes";
    const topic = bytes.toString("latin1", bodyAt + 2, idAt);
    const isKnownQos = qos === 0 || qos === 1;
    const message: Message = { topic, qos: isKnownQos ? qos : 2, retain: (first & 1) !== 0 };
    const verdict = this.#parts.judge(this.#connection, message);
    if (verdict === "refused") return "over";
    if (verdict === "aedes" || !isKnownQos) return "aedes";
    if (qos === 1) {
      // Before any subscriber has it, as aedes does: nothing here relies on an acknowledgement.
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
