import fc from "fast-check";
import { generate } from "mqtt-packet";
import { describe, expect, test } from "vitest";
import { createFrameCheck } from "./frame-check.ts";

const limits = { maxFirstFrameBytes: 4096, maxFrameBytes: 65_536 };
const connect = generate({
  cmd: "connect",
  protocolId: "MQTT",
  protocolVersion: 4,
  clientId: "car",
  clean: true,
});
const publish = (payloadBytes: number) =>
  generate({
    cmd: "publish",
    topic: "t",
    payload: Buffer.alloc(payloadBytes),
    qos: 0,
    dup: false,
    retain: false,
  });
const topicAndItsLengthBytes = 3;
const ping = generate({ cmd: "pingreq" });

/** The first fault that the check names when the bytes come in these pieces. */
function firstFault(pieces: readonly Uint8Array[]) {
  const check = createFrameCheck(limits);
  for (const piece of pieces) {
    const fault = check(piece);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

const connected = [connect];
const cases = [
  ["a CONNECT", connected, undefined],
  ["a CONNECT and a ping", [connect, ping], undefined],
  ["a CONNECT of exactly the limit", [Buffer.from([0x10, 0x80, 0x20]), Buffer.alloc(4096), ping], undefined],
  ["a CONNECT one byte above the limit", [Buffer.from([0x10, 0x81, 0x20])], "first-frame-too-large"],
  [
    "a CONNECT of 256 MB, header only",
    [Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f])],
    "first-frame-too-large",
  ],
  ["a large length not yet complete", [Buffer.from([0x10, 0xff, 0xff])], "first-frame-too-large"],
  ["a length of five bytes", [Buffer.from([0x10, 0x80, 0x80, 0x80, 0x80, 0x01])], "malformed-length"],
  ["a PUBLISH before any CONNECT", [publish(1)], "not-connect"],
  ["a CONNECT with reserved flags set", [Buffer.from([0x11, 0x00])], "not-connect"],
  ["HTTP by mistake", [Buffer.from("GET / HTTP/1.1\r\n\r\n")], "not-connect"],
  ["a TLS greeting on the plain port", [Buffer.from([0x16, 0x03, 0x01])], "not-connect"],
  ["a message of exactly the limit", [connect, publish(65_536 - topicAndItsLengthBytes), ping], undefined],
  ["a message one byte above", [connect, publish(65_537 - topicAndItsLengthBytes)], "frame-too-large"],
  [
    "a message of 256 MB, header only",
    [connect, Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f])],
    "frame-too-large",
  ],
] as const;

describe("the size of a packet is judged at its fixed header [fault 10, fault 16]", () => {
  test.each(cases)("%s", (_, pieces, expected) => {
    expect(firstFault(pieces)).toBe(expected);
  });

  test("the verdict does not depend on how the network cuts the bytes", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...cases),
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 8 }),
        ([, pieces, expected], sizes) => {
          const bytes = Buffer.concat(pieces);
          const cut: Uint8Array[] = [];
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            const size = sizes[turn % sizes.length] ?? 1;
            cut.push(bytes.subarray(at, at + size));
            at += size;
          }
          expect(firstFault(cut)).toBe(expected);
        },
      ),
    );
  });

  test.each([1, 2, 3, 7, 1000])("packets within the limit pass, %d bytes at a time", (size) => {
    const ping = Buffer.from([0xc0, 0]);
    const packets = Buffer.concat([
      connect,
      ping,
      Buffer.from([0x30, 0xac, 0x02]),
      Buffer.alloc(300, 1),
      ping,
      ping,
    ]);
    const pieces = Array.from({ length: Math.ceil(packets.length / size) }, (_, at) =>
      packets.subarray(at * size, (at + 1) * size),
    );
    const faults = (maxFrameBytes: number) => {
      const check = createFrameCheck({ maxFirstFrameBytes: 300, maxFrameBytes });
      return pieces.map((piece) => check(piece)).filter((fault) => fault !== undefined);
    };
    expect(faults(300)).toEqual([]);
    expect(faults(299)[0]).toBe("frame-too-large");
  });
});
