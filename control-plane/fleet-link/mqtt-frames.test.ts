import fc from "fast-check";
import mqttPacket, { type Packet } from "mqtt-packet";
import { expect, test } from "vitest";
import {
  createFrameReader,
  disconnect,
  encodeConnect,
  encodePuback,
  encodePublish,
  encodeSubscribe,
  type FrameFromBroker,
  pingreq,
} from "./mqtt-frames.ts";

// Held against another implementation of the standard.

function readByOther(bytes: Buffer): Packet[] {
  const packets: Packet[] = [];
  const parser = mqttPacket.parser({ protocolVersion: 4 });
  parser.on("packet", (packet) => packets.push(packet));
  parser.on("error", (error) => {
    throw error;
  });
  parser.parse(bytes);
  return packets;
}

const packetId = fc.integer({ min: 1, max: 65_535 });
const topic = fc.string({ minLength: 1, maxLength: 60, unit: "grapheme" }).filter((it) => !/[+#\0]/.test(it));
const payload = fc
  .oneof(fc.nat(300), fc.constantFrom(0, 80, 127, 128, 16_383, 16_384, 65_000))
  .map((length) => Buffer.alloc(length, "p"));
const packetIdOrNone = fc.option(packetId, { nil: null });

test("what we publish and acknowledge, another reads as it was meant", () => {
  fc.assert(
    fc.property(topic, payload, packetIdOrNone, fc.boolean(), (name, content, id, isText) => {
      const bytes = encodePublish(name, isText ? content.toString() : content, id);
      expect(readByOther(bytes)).toEqual([
        expect.objectContaining({
          cmd: "publish",
          topic: name,
          payload: content,
          qos: id === null ? 0 : 1,
          retain: false,
          dup: false,
          ...(id === null ? {} : { messageId: id }),
        }),
      ]);
    }),
  );
  expect(readByOther(encodePuback(40_000))).toEqual([
    expect.objectContaining({ cmd: "puback", messageId: 40_000 }),
  ]);
});

test("another understands how we connect, subscribe, stay and go", () => {
  const connect = { clientId: "control-plane-1", keepAliveSeconds: 300 };
  expect(readByOther(encodeConnect({ ...connect, username: "control-plane", password: "ñ secret" }))).toEqual(
    [
      expect.objectContaining({
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: 4,
        clean: true,
        keepalive: 300,
        clientId: "control-plane-1",
        username: "control-plane",
        password: Buffer.from("ñ secret"),
      }),
    ],
  );
  const [anonymous] = readByOther(encodeConnect({ ...connect, username: null, password: null }));
  expect(anonymous).not.toHaveProperty("username");
  expect(anonymous).not.toHaveProperty("password");
  const subscriptions = [
    { topic: "caas/v1/+/report", qos: 0 },
    { topic: "caas/v1/+/presence", qos: 1 },
  ] as const;
  expect(readByOther(encodeSubscribe(7, subscriptions))).toEqual([
    expect.objectContaining({
      cmd: "subscribe",
      messageId: 7,
      subscriptions: subscriptions.map((one) => expect.objectContaining(one)),
    }),
  ]);
  expect(readByOther(Buffer.concat([pingreq, disconnect])).map(({ cmd }) => cmd)).toEqual([
    "pingreq",
    "disconnect",
  ]);
});

test("what another sends, we read, however the stream is cut", () => {
  const message = fc.record({ topic, payload, id: packetIdOrNone });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), fc.integer({ min: 1, max: 3_000 }), (messages, cut) => {
      const bytes = Buffer.concat([
        mqttPacket.generate({ cmd: "connack", returnCode: 5, sessionPresent: false }),
        mqttPacket.generate({ cmd: "suback", messageId: 1, granted: [0, 1, 128] }),
        ...messages.map(({ topic: name, payload: content, id }) =>
          mqttPacket.generate({
            cmd: "publish",
            topic: name,
            payload: content,
            dup: false,
            retain: true,
            ...(id === null ? { qos: 0 } : { qos: 1, messageId: id }),
          }),
        ),
        mqttPacket.generate({ cmd: "puback", messageId: 9 }),
        mqttPacket.generate({ cmd: "pingresp" }),
      ]);
      const frames: FrameFromBroker[] = [];
      const read = createFrameReader((frame) => {
        frames.push(frame.kind === "publish" ? { ...frame, payload: Buffer.from(frame.payload) } : frame);
      });
      for (let at = 0; at < bytes.length; at += cut) read(bytes.subarray(at, at + cut));
      expect(frames).toEqual([
        { kind: "connack", returnCode: 5 },
        { kind: "suback", granted: [0, 1, 128] },
        ...messages.map(({ topic: name, payload: content, id }) => ({
          kind: "publish",
          topic: name,
          payload: content,
          qos: id === null ? 0 : 1,
          packetId: id ?? 0,
        })),
        { kind: "other" },
        { kind: "other" },
      ]);
    }),
  );
});

test("what is no MQTT ends the connection, and nothing is read beyond what was received", () => {
  const read = createFrameReader(() => undefined);
  expect(() => read(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80]))).toThrow(/four bytes/);
  expect(() => createFrameReader(() => undefined)(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]))).toThrow(
    /too long/,
  );
  const malformed = [
    [0x34, 2, 0, 0], // QoS 2
    [0x30, 2, 0, 9], // a topic longer than the message
    [0x32, 2, 0, 0], // QoS 1 without an id
    [0x20, 1, 0], // CONNACK without a code
    [0x30, 1, 0],
  ];
  for (const bytes of malformed)
    expect(() => createFrameReader(() => undefined)(Buffer.from(bytes))).toThrow();
});
