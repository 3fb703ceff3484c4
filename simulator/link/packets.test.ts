import { generate, type Packet, parser } from "mqtt-packet";
import { describe, expect, test } from "vitest";
import {
  createPacketReader,
  disconnect,
  encodeConnect,
  encodePuback,
  encodePublish,
  encodeSubscribe,
  type PacketFromBroker,
  pingRequest,
} from "./packets.ts";

function readByLibrary(bytes: Buffer): Packet {
  const packets: Packet[] = [];
  const reading = parser({ protocolVersion: 4 });
  reading.on("packet", (packet) => packets.push(packet));
  reading.parse(bytes);
  const [packet] = packets;
  if (packet === undefined || packets.length > 1) throw new Error(`${packets.length} packets`);
  return packet;
}

function read(...chunks: Buffer[]): PacketFromBroker[] {
  const packets: PacketFromBroker[] = [];
  const reader = createPacketReader((packet) => packets.push(packet));
  for (const chunk of chunks) reader(chunk);
  return packets;
}

describe("what a car says is what a general codec reads (MQTT 3.1.1)", () => {
  test.each([
    { will: { topic: "a/b", payload: "gone", qos: 1, retain: true }, credentials: null },
    { will: null, credentials: { username: "käfer", password: "p" } },
    {
      will: { topic: "t", payload: "", qos: 0, retain: false },
      credentials: { username: "u", password: "p" },
    },
  ] as const)("CONNECT %o", ({ will, credentials }) => {
    const packet = readByLibrary(
      encodeConnect({ clientId: "car", keepAliveSeconds: 300, credentials, will }),
    );
    expect(packet).toMatchObject({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: 4,
      clientId: "car",
      clean: true,
      keepalive: 300,
      ...(credentials === null
        ? {}
        : { username: credentials.username, password: Buffer.from(credentials.password) }),
      ...(will === null ? {} : { will: { ...will, payload: Buffer.from(will.payload) } }),
    });
  });

  test("SUBSCRIBE", () => {
    expect(readByLibrary(encodeSubscribe(258, ["a/b", "c"]))).toMatchObject({
      cmd: "subscribe",
      messageId: 258,
      subscriptions: [
        { topic: "a/b", qos: 1 },
        { topic: "c", qos: 1 },
      ],
    });
  });

  test.each([0, 1, 127, 128, 16_383, 16_384, 65_000])("PUBLISH of %i bytes", (length) => {
    const payload = "x".repeat(length);
    for (const qos of [0, 1] as const)
      expect(
        readByLibrary(encodePublish({ topic: "t/ü", payload, qos, retain: qos === 1 }, 77)),
      ).toMatchObject({
        cmd: "publish",
        topic: "t/ü",
        payload: Buffer.from(payload),
        qos,
        retain: qos === 1,
        ...(qos === 1 ? { messageId: 77 } : {}),
      });
  });

  test("PUBACK, PINGREQ, DISCONNECT", () => {
    expect(readByLibrary(encodePuback(65_535))).toMatchObject({ cmd: "puback", messageId: 65_535 });
    expect(readByLibrary(pingRequest).cmd).toBe("pingreq");
    expect(readByLibrary(disconnect).cmd).toBe("disconnect");
  });
});

describe("what a general codec writes is what a car hears", () => {
  const stream = Buffer.concat([
    generate({ cmd: "connack", returnCode: 0, sessionPresent: false }),
    generate({ cmd: "suback", messageId: 3, granted: [1, 128] }),
    generate({
      cmd: "publish",
      topic: "a",
      payload: "y".repeat(200),
      qos: 1,
      messageId: 9,
      dup: true,
      retain: true,
    }),
    generate({ cmd: "publish", topic: "ü", payload: "", qos: 0, dup: false, retain: false }),
    generate({ cmd: "puback", messageId: 4_000 }),
    generate({ cmd: "pingresp" }),
  ]);
  const meant: PacketFromBroker[] = [
    { kind: "connack", returnCode: 0 },
    { kind: "suback", id: 3, returnCodes: [1, 128] },
    { kind: "publish", topic: "a", payload: Buffer.from("y".repeat(200)), qos: 1, id: 9 },
    { kind: "publish", topic: "ü", payload: Buffer.alloc(0), qos: 0, id: 0 },
    { kind: "puback", id: 4_000 },
    { kind: "pingresp" },
  ];

  test("in one piece", () => expect(read(stream)).toEqual(meant));

  test("cut after every single byte, into a buffer that is used again", () => {
    const reused = Buffer.alloc(stream.length);
    for (let cut = 1; cut < stream.length; cut += 1) {
      const packets: PacketFromBroker[] = [];
      const reader = createPacketReader((packet) => packets.push(packet));
      for (const part of [stream.subarray(0, cut), stream.subarray(cut)]) {
        part.copy(reused);
        reader(reused.subarray(0, part.length));
        reused.fill(0xff);
      }
      expect(packets).toEqual(meant);
    }
  });

  test("byte by byte", () => expect(read(...[...stream].map((byte) => Buffer.from([byte])))).toEqual(meant));

  test.each([
    { what: "a packet of 200 MiB", bytes: [0x30, 0x80, 0x80, 0x80, 0x64] },
    { what: "a length that never ends", bytes: [0x30, 0xff, 0xff, 0xff, 0xff, 0x01] },
    { what: "a packet that only clients send", bytes: [0x82, 0x00] },
    { what: "QoS 2", bytes: [0x34, 0x05, 0x00, 0x01, 0x61, 0x00, 0x01] },
    { what: "a topic longer than its packet", bytes: [0x30, 0x03, 0x00, 0x09, 0x61] },
    { what: "a CONNACK without its code", bytes: [0x20, 0x00] },
  ])("$what ends the connection", ({ bytes }) => {
    expect(() => read(Buffer.from(bytes))).toThrow();
  });
});
