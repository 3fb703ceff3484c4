import { Socket } from "node:net";
import { generate } from "mqtt-packet";
import { describe, expect, test } from "vitest";
import { testVin } from "../testing/fleet.ts";
import { connectPacket } from "../testing/raw-connection.ts";
import { guardFrames, type Intake } from "./first-packet-guard.ts";

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

describe("bytes read while the connection is paused", () => {
  /** A socket without a peer: the test pushes its chunks, and handled ones are logged by their length. */
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

  test("wait, and are handled whole and in order, although handling them ends a pause", () => {
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

  test("wait again when a new pause begins, and the end of the connection comes last", () => {
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

  test("are held to the limits all the same", () => {
    const { socket, log, pause } = open();
    socket.on("error", () => {});
    pause(true);
    socket.push(publish(70_000));
    expect(socket.destroyed).toBe(true);
    expect(log).toEqual([]);
  });
});
