import fc from "fast-check";
import { generate, type Packet, parser } from "mqtt-packet";
import { describe, expect, test } from "vitest";
import { createPacketReader, type PacketFromBroker } from "./read-packets.ts";
import {
  disconnect,
  encodeConnack,
  encodeConnect,
  encodePuback,
  encodePublish,
  encodeSubscribe,
  pingRequest,
  pingResponse,
} from "./write-packets.ts";

// Compared with a general implementation of the standard.

const longestPacket = 1_048_576;

function readByLibrary(bytes: Buffer): Packet {
  const packets: Packet[] = [];
  const reading = parser({ protocolVersion: 4 });
  reading.on("packet", (packet) => packets.push(packet));
  reading.on("error", (error) => {
    throw error;
  });
  reading.parse(bytes);
  const [packet] = packets;
  if (packet === undefined || packets.length > 1) throw new Error(`${packets.length} packets`);
  return packet;
}

/** The packets that a reader passes on, with copies of their payloads. */
function read(chunks: readonly Buffer[]): PacketFromBroker[] {
  const packets: PacketFromBroker[] = [];
  const reader = createPacketReader(longestPacket, (packet) =>
    packets.push(packet.kind === "publish" ? { ...packet, payload: Buffer.from(packet.payload) } : packet),
  );
  for (const chunk of chunks) reader(chunk);
  return packets;
}

const id = fc.integer({ min: 1, max: 65_535 });
const idOrNone = fc.option(id, { nil: null });
const topic = fc.string({ minLength: 1, maxLength: 60, unit: "grapheme" }).filter((it) => !/[+#\0]/.test(it));
const payload = fc
  .oneof(fc.nat(300), fc.constantFrom(0, 1, 80, 127, 128, 16_383, 16_384, 65_000))
  .map((length) => Buffer.alloc(length, "p"));

describe("a general codec reads what we write (MQTT 3.1.1)", () => {
  test.each([
    { will: { topic: "a/b", payload: "gone", qos: 1, retain: true }, credentials: null },
    { will: null, credentials: { username: "käfer", password: "ñ secret" } },
    { will: null, credentials: { username: "name only", password: null } },
    { will: null, credentials: null },
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
      ...(will === null ? {} : { will: { ...will, payload: Buffer.from(will.payload) } }),
    });
    expect({ username: undefined, password: undefined, ...packet }).toMatchObject({
      username: credentials?.username,
      password: credentials?.password ? Buffer.from(credentials.password) : undefined,
    });
  });

  test.each([0, 3, 5])("CONNACK %i", (returnCode) => {
    expect(readByLibrary(encodeConnack(returnCode))).toMatchObject({
      cmd: "connack",
      returnCode,
      sessionPresent: false,
    });
  });

  test("SUBSCRIBE", () => {
    const subscriptions = [
      { topic: "caas/v1/+/report", qos: 0 },
      { topic: "ü", qos: 1 },
    ] as const;
    expect(readByLibrary(encodeSubscribe(258, subscriptions))).toMatchObject({
      cmd: "subscribe",
      messageId: 258,
      subscriptions: subscriptions.map((one) => expect.objectContaining(one)),
    });
  });

  test("PUBLISH", () => {
    fc.assert(
      fc.property(
        topic,
        payload,
        idOrNone,
        fc.boolean(),
        fc.boolean(),
        (name, content, number, isText, retain) => {
          const qos = number === null ? 0 : 1;
          const message = {
            topic: name,
            payload: isText ? content.toString() : content,
            qos,
            retain,
          } as const;
          expect(readByLibrary(encodePublish(message, number ?? 0))).toMatchObject({
            cmd: "publish",
            topic: name,
            payload: content,
            qos,
            retain,
            dup: false,
            ...(number === null ? {} : { messageId: number }),
          });
        },
      ),
    );
  });

  test.each([0, 1, 127, 128, 16_383, 16_384, 65_000, 2_097_152])("PUBLISH of %i bytes", (length) => {
    const content = "x".repeat(length);
    for (const qos of [0, 1] as const)
      expect(
        readByLibrary(encodePublish({ topic: "t/ü", payload: content, qos, retain: qos === 1 }, 77)),
      ).toMatchObject({ topic: "t/ü", payload: Buffer.from(content), qos, retain: qos === 1 });
  });

  test("PUBACK, PINGREQ, PINGRESP, DISCONNECT", () => {
    for (const messageId of [1, 40_000, 65_535])
      expect(readByLibrary(encodePuback(messageId))).toMatchObject({ cmd: "puback", messageId });
    expect(readByLibrary(pingRequest).cmd).toBe("pingreq");
    expect(readByLibrary(pingResponse).cmd).toBe("pingresp");
    expect(readByLibrary(disconnect).cmd).toBe("disconnect");
  });
});

describe("we read what a general codec writes", () => {
  const stream = Buffer.concat([
    generate({ cmd: "connack", returnCode: 5, sessionPresent: false }),
    generate({ cmd: "suback", messageId: 3, granted: [0, 1, 128] }),
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
    { kind: "connack", returnCode: 5 },
    { kind: "suback", id: 3, returnCodes: [0, 1, 128] },
    { kind: "publish", topic: "a", payload: Buffer.from("y".repeat(200)), qos: 1, id: 9 },
    { kind: "publish", topic: "ü", payload: Buffer.alloc(0), qos: 0, id: 0 },
    { kind: "puback", id: 4_000 },
    { kind: "pingresp" },
  ];

  test("in one piece", () => expect(read([stream])).toEqual(meant));

  test("byte by byte", () => expect(read([...stream].map((byte) => Buffer.from([byte])))).toEqual(meant));

  test("cut after every single byte, in a buffer that is reused", () => {
    const reused = Buffer.alloc(stream.length);
    for (let cut = 1; cut < stream.length; cut += 1) {
      const packets: PacketFromBroker[] = [];
      const reader = createPacketReader(longestPacket, (packet) =>
        packets.push(
          packet.kind === "publish" ? { ...packet, payload: Buffer.from(packet.payload) } : packet,
        ),
      );
      for (const part of [stream.subarray(0, cut), stream.subarray(cut)]) {
        part.copy(reused);
        reader(reused.subarray(0, part.length));
        reused.fill(0xff);
      }
      expect(packets).toEqual(meant);
    }
  });

  test("messages of any size, however the stream is cut", () => {
    const message = fc.record({ topic, payload, number: idOrNone });
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 8 }),
        fc.integer({ min: 1, max: 3_000 }),
        (messages, size) => {
          const bytes = Buffer.concat(
            messages.map(({ topic: name, payload: content, number }) =>
              generate({
                cmd: "publish",
                topic: name,
                payload: content,
                dup: false,
                retain: true,
                ...(number === null ? { qos: 0 } : { qos: 1, messageId: number }),
              }),
            ),
          );
          const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
            bytes.subarray(at * size, (at + 1) * size),
          );
          expect(read(pieces)).toEqual(
            messages.map(({ topic: name, payload: content, number }) => ({
              kind: "publish",
              topic: name,
              payload: content,
              qos: number === null ? 0 : 1,
              id: number ?? 0,
            })),
          );
        },
      ),
    );
  });

  test.each([
    { what: "a packet of 200 MiB", bytes: [0x30, 0x80, 0x80, 0x80, 0x64], says: /209715200 bytes/ },
    { what: "a length that never ends", bytes: [0x30, 0x80, 0x80, 0x80, 0x80], says: /more than 4 bytes/ },
    { what: "a packet that only clients send", bytes: [0x82, 0x00], says: /type 8/ },
    { what: "QoS 2", bytes: [0x34, 0x05, 0x00, 0x01, 0x61, 0x00, 0x01], says: /QoS 2/ },
    { what: "a topic longer than its packet", bytes: [0x30, 0x03, 0x00, 0x09, 0x61], says: /ends inside/ },
    { what: "QoS 1 without an id", bytes: [0x32, 0x02, 0x00, 0x00], says: /ends inside/ },
    { what: "half a topic length", bytes: [0x30, 0x01, 0x00], says: /outside buffer|out of range/ },
    { what: "a CONNACK without its code", bytes: [0x20, 0x01, 0x00], says: /out of range/ },
    { what: "an empty CONNACK", bytes: [0x20, 0x00], says: /outside buffer|out of range/ },
  ])("$what ends the connection", ({ bytes, says }) => {
    expect(() => read([Buffer.from(bytes)])).toThrow(says);
  });
});
