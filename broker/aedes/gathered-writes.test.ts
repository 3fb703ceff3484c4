import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createGather } from "./gathered-writes.ts";

const opened: Array<{ destroy(): unknown } | { close(): unknown }> = [];
afterEach(() => {
  for (const each of opened.splice(0)) "destroy" in each ? each.destroy() : each.close();
});

/** Both ends of a connection. */
async function openPair(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const accepted = once(server, "connection");
  const far = connect(address.port, "127.0.0.1");
  const [near]: Socket[] = await accepted;
  if (near === undefined) throw new Error("no connection");
  opened.push(near, far, server);
  return { near, far };
}

/** The next `count` bytes. */
async function receive(socket: Socket, count: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= count) break;
  }
  return Buffer.concat(chunks).toString();
}

/** Its turns end when the test says so. */
function createTurns() {
  const ends: Array<() => void> = [];
  return { gather: createGather((run) => void ends.push(run)), endTurn: () => ends.shift()?.(), ends };
}

test("bytes written to several clients in one turn reach each in order, in one write", async () => {
  const { gather, endTurn, ends } = createTurns();
  const [one, other] = [await openPair(), await openPair()];
  gather(one.near);
  gather(other.near);
  one.near.write(Buffer.from("a"));
  one.near.write("ñ");
  other.near.write("x");
  one.near.write(Buffer.from("c"));
  other.near.write(Buffer.from("y"));
  expect(ends).toHaveLength(1);
  expect([one.near.bytesWritten, other.near.bytesWritten]).toEqual([0, 0]);
  endTurn();
  expect(await receive(one.far, 4)).toBe("añc");
  expect(await receive(other.far, 2)).toBe("xy");
  one.near.write("the next turn");
  endTurn();
  expect(await receive(one.far, 13)).toBe("the next turn");
});

test("a large piece keeps its place between small ones", async () => {
  const { gather, endTurn } = createTurns();
  const { near, far } = await openPair();
  gather(near);
  const large = "l".repeat(40_000);
  near.write("before ");
  near.write(Buffer.from(large));
  near.write(" after");
  endTurn();
  expect(await receive(far, large.length + 13)).toBe(`before ${large} after`);
});

test("bytes that the system has not taken yet are not overwritten", async () => {
  const { gather, endTurn } = createTurns();
  const [slow, quick] = [await openPair(), await openPair()];
  gather(slow.near);
  gather(quick.near);
  // The far end does not read, so from some turn on the near end holds what it was given.
  let said = "";
  for (let turn = 0; slow.near.writableLength === 0 || turn % 50 !== 0; turn += 1) {
    const words = `${turn} `.repeat(1_000);
    said += words;
    slow.near.write(words);
    endTurn();
  }
  for (let turn = 0; turn < 50; turn += 1) {
    quick.near.write("#".repeat(15_000));
    endTurn();
  }
  quick.far.resume();
  expect(await receive(slow.far, said.length)).toBe(said);
});

test("a full client is reported as full, and as drained afterwards [fault 17]", async () => {
  const { gather, endTurn } = createTurns();
  const { near, far } = await openPair();
  gather(near);
  let hasRoom = true;
  while (hasRoom) {
    hasRoom = near.write("m".repeat(10_000));
    endTurn();
  }
  const drained = once(near, "drain");
  far.resume();
  await drained;
  expect(near.write("m")).toBe(true);
});

test("a client that is gone is skipped, and the others get their bytes", async () => {
  const { gather, endTurn } = createTurns();
  const [gone, there] = [await openPair(), await openPair()];
  gather(gone.near);
  gather(there.near);
  gone.near.write("nobody hears this");
  there.near.write("hello");
  gone.near.destroy();
  endTurn();
  expect(await receive(there.far, 5)).toBe("hello");
});
