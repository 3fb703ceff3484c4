import { Socket } from "node:net";
import fc from "fast-check";
import { generate } from "mqtt-packet";
import { describe, expect, test } from "vitest";
import { createFrameCheck, guardFrames, type Intake } from "./first-packet-guard.ts";
import { testVin } from "./testing/fleet.ts";
import { connectPacket } from "./testing/raw-connection.ts";

const limits = { maxFirstFrameBytes: 4096, maxFrameBytes: 65_536 };
const connect = generate(connectPacket(testVin(1)));
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

describe("fault 10, fault 16: the size of a packet is judged at its fixed header", () => {
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
});

describe("what is read while its connection is paused", () => {
  /** A socket nobody is at the other end of, its chunks pushed by the test; what is handled is told by number. */
  function open(whileHandling: (n: number, intake: Intake) => void = () => {}) {
    const socket = new Socket();
    const log: string[] = [];
    let isPaused = false;
    let handled = 0;
    const intake = guardFrames(
      socket,
      limits,
      {
        isPaused: () => isPaused,
        onPacket() {},
        took() {},
        handle(_, chunk) {
          const n = handled++;
          log.push(`${chunk.length} begins`);
          whileHandling(n, intake);
          log.push(`${chunk.length} ends`);
          return null;
        },
      },
      "a connection",
    );
    socket.push(connect);
    log.length = 0;
    const pause = (paused: boolean): void => {
      isPaused = paused;
    };
    return { socket, log, intake, pause };
  }

  test("waits, and is handled whole and in its order, though handling it ends a pause itself", () => {
    const { socket, log, intake, pause } = open((_, nested) => nested.resume());
    pause(true);
    const chunks = [publish(1), publish(2), publish(3)];
    for (const chunk of chunks) expect(socket.push(chunk)).toBe(false);
    expect(log).toEqual([]);
    pause(false);
    intake.resume();
    expect(log).toEqual(chunks.flatMap(({ length }) => [`${length} begins`, `${length} ends`]));
    expect(socket.push(publish(4))).toBe(true);
  });

  test("stays where a new pause begins, and the end of the connection comes last", () => {
    const { socket, log, intake, pause } = open((n) => {
      if (n === 1) pause(true);
    });
    const ended: string[] = [];
    socket.once("end", () => ended.push("ended"));
    pause(true);
    for (const chunk of [publish(1), publish(2), null]) socket.push(chunk);
    pause(false);
    intake.resume();
    expect(log).toHaveLength(2);
    expect(socket.readableEnded).toBe(false);
    pause(false);
    intake.resume();
    expect(log).toHaveLength(4);
    socket.read();
    return expect.poll(() => ended).toEqual(["ended"]);
  });

  test("is held to the limits all the same", () => {
    const { socket, log, pause } = open();
    socket.on("error", () => {});
    pause(true);
    socket.push(publish(70_000));
    expect(socket.destroyed).toBe(true);
    expect(log).toEqual([]);
  });
});
