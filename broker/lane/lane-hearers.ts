import { bodyStart, packetType, startPacket } from "@caas/contract/mqtt/fixed-header.ts";
import { maxPieceBytes } from "../aedes/gathered-writes.ts";
import type { ServedClient } from "../aedes/served-client.ts";
import type { Frame, LaneParts } from "./message-lane.ts";
import type { Listener } from "./topic-switch.ts";

// The other end of the lanes: subscribers receive the messages that came through them.

export type Hearing = {
  filter: string;
  granted: 0 | 1;
  /** Nothing more is sent, from the turn in which it ended [MQTT-3.10.4-2]. */
  isOver: boolean;
  hearer: Listener<Frame>;
};

/** A connection's subscriptions; a handful. */
type Hears = { hearing: readonly Hearing[] };

/** A granted subscription replaces an earlier one to the same filter [MQTT-3.8.4-3]. */
export function startHearing<C extends Hears>(
  parts: LaneParts<C>,
  connection: C,
  client: ServedClient,
  { topic: filter, qos }: { topic: string; qos: number },
): void {
  if (client.conn.destroyed) return;
  const granted = qos === 0 ? 0 : 1;
  const known = connection.hearing.find((one) => one.filter === filter);
  if (known !== undefined) {
    known.granted = granted;
    return;
  }
  const hearing = createHearing(parts, connection, client, { filter, granted });
  connection.hearing = [...connection.hearing, hearing];
  parts.hearers.on(filter, hearing.hearer);
}

export function stopHearing<C extends Hears>(parts: LaneParts<C>, connection: C, filter: string): void {
  const known = connection.hearing.find((one) => one.filter === filter);
  if (known === undefined) return;
  known.isOver = true;
  connection.hearing = connection.hearing.filter((one) => one !== known);
  parts.hearers.removeListener(filter, known.hearer);
}

function createHearing<C>(
  parts: LaneParts<C>,
  connection: C,
  client: ServedClient,
  { filter, granted }: { filter: string; granted: 0 | 1 },
): Hearing {
  const hearing: Hearing = { filter, granted, isOver: false, hearer };
  return hearing;

  function hearer(frame: Frame, done: () => void): void {
    const packet = hearing.isOver || client.conn.destroyed ? undefined : packetFor(frame);
    if (packet === undefined || client.conn.write(packet)) done();
    else client.waitForDrain(done);
  }

  function packetFor({ qos, bytes, idAt }: Frame): Buffer | undefined {
    if (qos === 0) return bytes;
    if (hearing.granted === 0) return withoutId(bytes, idAt);
    return parts.mayHave(connection) ? withId(bytes, idAt, client) : undefined;
  }
}

/** The same message with the subscriber's own packet identifier. */
function withId(bytes: Buffer, idAt: number, client: ServedClient): Buffer {
  // A copy where the socket may hold on to it: gathered writes copy small pieces only.
  const packet = bytes.length > maxPieceBytes ? Buffer.from(bytes) : bytes;
  packet.writeUInt16BE(client.nextPacketId(), idAt);
  return packet;
}

/** The same message with QoS 0. */
function withoutId(bytes: Buffer, idAt: number): Buffer {
  const bodyAt = bodyStart(bytes, 0);
  const length = bytes.length - bodyAt - 2;
  const packet = startPacket(packetType.publish << 4, length);
  bytes.copy(packet, packet.length - length, bodyAt, idAt);
  bytes.copy(packet, packet.length - length + idAt - bodyAt, idAt + 2);
  return packet;
}
