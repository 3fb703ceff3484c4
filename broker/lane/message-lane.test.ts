import { Duplex } from "node:stream";
import { Aedes } from "aedes";
import fc from "fast-check";
import { generate, type Packet } from "mqtt-packet";
import { afterEach, describe, expect, test } from "vitest";
import { ServedClient } from "../aedes/served-client.ts";
import { Lane, type LaneParts } from "./message-lane.ts";
import { createTopicSwitch } from "./topic-switch.ts";

const opened: Aedes[] = [];
afterEach(() => {
  for (const broker of opened.splice(0)) broker.close();
});

type Heard = { topic: string; qos: number; bytes: Buffer };

/** A lane of a real client of aedes, whose subscriber is done when `answer` says so. */
async function open(answer: (done: () => void) => void = (done) => done()) {
  const broker = await Aedes.createBroker();
  opened.push(broker);
  const said: Buffer[] = [];
  const conn = new Duplex({
    read() {},
    write(chunk: Buffer, _, done) {
      said.push(Buffer.from(chunk));
      done();
    },
  });
  const client = new ServedClient(broker.handle(conn));
  const heard: Heard[] = [];
  let idle = 0;
  const parts: LaneParts<string> = {
    hearers: createTopicSwitch(),
    judge(_, { topic, qos }) {
      if (topic.startsWith("aedes/") || qos === 2) return "aedes";
      return topic.startsWith("refused/") ? "refused" : "passes";
    },
    mayHave: () => true,
    becameIdle: () => void idle++,
  };
  parts.hearers.on("lane/+", ({ topic, qos, bytes }, done) => {
    heard.push({ topic, qos, bytes: Buffer.from(bytes) });
    answer(done);
  });
  const lane = new Lane(parts, "a connection", client);
  return { lane, heard, said: () => Buffer.concat(said), idle: () => idle };
}

const publish = (
  topic: string,
  payload: string,
  { qos = 0, messageId = 1, dup = false }: { qos?: 0 | 1 | 2; messageId?: number; dup?: boolean } = {},
): Packet => ({ cmd: "publish", topic, payload, qos, messageId, dup, retain: false });

const puback = (messageId: number): Packet => ({ cmd: "puback", messageId });

type Expected = {
  packet: Packet;
  /** What is left for aedes, heard, and answered. */
  goes: "aedes" | "heard" | "nowhere";
  answer?: Packet;
};

const payloads = fc.oneof(fc.string(), fc.constant("x".repeat(300)));
const ids = fc.integer({ min: 1, max: 65_535 });
const packets: fc.Arbitrary<Expected> = fc.oneof(
  payloads.map((payload) => ({ packet: publish("lane/a", payload), goes: "heard" as const })),
  fc.record({ payload: payloads, messageId: ids, dup: fc.boolean() }).map(({ payload, messageId, dup }) => ({
    packet: publish("lane/b", payload, { qos: 1, messageId, dup }),
    goes: "heard" as const,
    answer: puback(messageId),
  })),
  payloads.map((payload) => ({ packet: publish("aedes/a", payload), goes: "aedes" as const })),
  ids.map((messageId) => ({
    packet: publish("lane/a", "twice", { qos: 2, messageId }),
    goes: "aedes" as const,
  })),
  ids.map((messageId) => ({ packet: puback(messageId), goes: "nowhere" as const })),
  fc.constant({
    packet: { cmd: "pingreq" } as const,
    goes: "nowhere" as const,
    answer: { cmd: "pingresp" } as const,
  }),
  ids.map((messageId) => ({
    packet: { cmd: "subscribe" as const, messageId, subscriptions: [{ topic: "lane/a", qos: 1 as const }] },
    goes: "aedes" as const,
  })),
);

describe("packets that go past aedes", () => {
  test("however the network cuts the bytes, each packet goes once, whole and in order to its destination", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(packets, { maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 }),
        async (expected, sizes) => {
          const { lane, heard, said, idle } = await open();
          const bytes = Buffer.concat(expected.map(({ packet }) => generate(packet)));
          const left: Buffer[] = [];
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            const size = sizes[turn % sizes.length] ?? 1;
            // As a socket hands them over: pieces that nobody else holds.
            const rest = lane.take(Buffer.from(bytes.subarray(at, at + size)));
            if (rest !== null) left.push(Buffer.from(rest));
            at += size;
          }
          const forAedes = expected.filter(({ goes }) => goes === "aedes").map(({ packet }) => packet);
          expect(Buffer.concat(left)).toEqual(Buffer.concat(forAedes.map((packet) => generate(packet))));
          const passed = expected.flatMap(({ packet, goes }) =>
            goes === "heard" && packet.cmd === "publish" ? [{ ...packet, dup: false }] : [],
          );
          expect(heard).toEqual(
            passed.map((packet) => ({ topic: packet.topic, qos: packet.qos, bytes: generate(packet) })),
          );
          const answers = expected.flatMap(({ answer }) => (answer === undefined ? [] : [generate(answer)]));
          expect(said()).toEqual(Buffer.concat(answers));
          expect(lane.isBusy()).toBe(false);
          expect(idle()).toBe(passed.length);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("malformed packets are left to aedes, and so are those that only look like an acknowledgement", async () => {
    const { lane, heard } = await open();
    const malformed = [
      [0x36, 0x02, 0x00, 0x00], // a QoS of 3
      [0x38, 0x02, 0x00, 0x00], // a repeated message with QoS 0
      [0x30, 0x01, 0x00], // half a topic's length
      [0x30, 0x02, 0xff, 0xff], // a topic longer than its packet
      [0x32, 0x03, 0x00, 0x01, 0x61], // QoS 1 without an identifier
      [0x41, 0x02, 0x00, 0x01], // an acknowledgement with a flag set
      [0x40, 0x03, 0x00, 0x01, 0x00], // one too long
      [0xc0, 0x01, 0x00], // a ping that has a body
      [0xf0, 0x00],
    ];
    for (const packet of malformed) expect(lane.take(Buffer.from(packet))).toEqual(Buffer.from(packet));
    expect(heard).toEqual([]);
  });

  test("nothing is taken after a refused message, nor after a DISCONNECT", async () => {
    const behind = generate(publish("lane/a", "behind it"));
    const refused = await open();
    expect(refused.lane.take(Buffer.concat([generate(publish("refused/a", "x")), behind]))).toBe(null);
    const left = await open();
    const disconnect = generate({ cmd: "disconnect" });
    expect(left.lane.take(Buffer.concat([disconnect, behind]))).toEqual(disconnect);
    expect([...refused.heard, ...left.heard]).toEqual([]);
  });

  test("the lane is busy until every subscriber has taken a message, and reports once that it no longer is", async () => {
    const waiting: Array<() => void> = [];
    const { lane, idle } = await open((done) => void waiting.push(done));
    lane.take(Buffer.concat([generate(publish("lane/a", "1")), generate(publish("lane/a", "2"))]));
    expect([lane.isBusy(), idle(), waiting.length]).toEqual([true, 0, 2]);
    waiting.shift()?.();
    expect([lane.isBusy(), idle()]).toEqual([true, 0]);
    waiting.shift()?.();
    expect([lane.isBusy(), idle()]).toEqual([false, 1]);
  });

  test("an aedes with other undocumented members is noticed", async () => {
    const { lane } = await open();
    expect(lane.isBusy()).toBe(false);
    const broker = await Aedes.createBroker();
    opened.push(broker);
    const client = broker.handle(new Duplex({ read() {}, write() {} }));
    Reflect.deleteProperty(client, "_nextId");
    expect(() => new ServedClient(client)).toThrow("this version of aedes has other undocumented members");
  });
});
