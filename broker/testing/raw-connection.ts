import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { carPassword } from "@caas/contract/car-password.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { generate, type IConnectPacket, type Packet, parser } from "mqtt-packet";
import { passwords } from "./fleet.ts";

/** A client that may misbehave: it sends anything and keeps everything it receives. */
export type RawConnection = {
  socket: Socket;
  send(what: Packet | Uint8Array): void;
  /** The next packet not yet taken; `undefined` when the broker closed instead. */
  next(): Promise<Packet | undefined>;
  /** Fulfilled when the connection is over, ended by either side. */
  closed: Promise<void>;
};

export async function openRaw(port: number): Promise<RawConnection> {
  const socket = connect({ host: "127.0.0.1", port });
  await once(socket, "connect");
  return converse(socket);
}

/** A conversation on a socket that is already connected, TLS or plain. */
export function converse(socket: Socket): RawConnection {
  const received: Packet[] = [];
  const waiting: Array<(packet: Packet | undefined) => void> = [];
  let isOver = false;
  const packets = parser();
  packets.on("packet", (packet) => {
    const taker = waiting.shift();
    if (taker === undefined) received.push(packet);
    else taker(packet);
  });
  socket.on("data", (chunk: Buffer) => packets.parse(chunk));
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => {
      isOver = true;
      for (const taker of waiting.splice(0)) taker(undefined);
      resolve();
    });
  });
  return {
    socket,
    send: (what) => void socket.write(what instanceof Uint8Array ? what : generate(what)),
    next() {
      const packet = received.shift();
      if (packet !== undefined || isOver) return Promise.resolve(packet);
      return new Promise((resolve) => waiting.push(resolve));
    },
    closed,
  };
}

/** A CONNECT that the fleet policy accepts from this car. */
export function connectPacket(vin: Vin, changes: Partial<IConnectPacket> = {}): IConnectPacket {
  return {
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 4,
    clientId: vin,
    clean: true,
    keepalive: 60,
    username: vin,
    password: Buffer.from(carPassword(passwords.carSecret, vin)),
    ...changes,
  };
}

/** A CONNECT without client id that wants its session kept: no library would write it. */
export const namelessKeptSession: Uint8Array = Buffer.from([
  ...[0x10, 0x0c], // CONNECT, 12 bytes
  ...[0x00, 0x04, ...Buffer.from("MQTT"), 0x04], // 3.1.1
  ...[0x00, 0x00, 0x3c], // no flag set, so clean = false; keep-alive 60 s
  ...[0x00, 0x00], // the empty client id
]);
