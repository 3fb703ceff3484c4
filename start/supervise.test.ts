import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Supervisor, superviseChildren, type UnexpectedExit } from "./supervise.ts";

let folder: string;
let supervisor: Supervisor;
let exits: UnexpectedExit[];
let lines: string[];
let reportExit: (exit: UnexpectedExit) => void;
let firstExit: Promise<UnexpectedExit>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "caas-supervise-"));
  exits = [];
  lines = [];
  firstExit = new Promise((resolve) => {
    reportExit = resolve;
  });
  supervisor = supervise(10_000);
});

function supervise(stopTimeoutMs: number): Supervisor {
  return superviseChildren({
    onUnexpectedExit: (exit) => {
      exits.push(exit);
      reportExit(exit);
    },
    onLine: (name, line) => lines.push(`${name}: ${line}`),
    logFolder: join(folder, "logs"),
    stopTimeoutMs,
  });
}

afterEach(async () => {
  await supervisor.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A child as the system's own parts are: serves until told to end, says so in its log. */
const wellBehaved = `
  const server = require("node:net").createServer().listen(0, "127.0.0.1", () => {
    console.log("listening");
    console.log(JSON.stringify({ ready: true, addresses: { port: String(server.address().port) } }));
  });
  process.on("SIGTERM", () => { console.log("closing"); server.close(); });
`;

function script(source: string): string {
  const path = join(folder, `${Math.floor(performance.now() * 1_000)}.cjs`);
  writeFileSync(path, source);
  return path;
}

test("a child is started when it says where it serves, and that line is no log line", async () => {
  const child = await supervisor.start({ name: "broker", entry: script(wellBehaved) });
  expect(child.addresses.port).toMatch(/^\d+$/);
  await supervisor.stop();
  expect(lines).toEqual(["broker: listening", "broker: closing"]);
  expect(readFileSync(join(folder, "logs/broker.log"), "utf8")).toBe("listening\nclosing\n");
  expect(exits).toEqual([]);
});

test("arguments and environment reach the child", async () => {
  const entry = script(
    `console.log(JSON.stringify({ ready: true, addresses: { said: process.argv[2] + process.env.COLOUR } }));
     setInterval(() => {}, 1000);`,
  );
  const child = await supervisor.start({ name: "child", entry, args: ["sky "], env: { COLOUR: "blue" } });
  expect(child.addresses).toEqual({ said: "sky blue" });
});

test("children close in the reverse of the order they were started in", async () => {
  for (const name of ["database", "broker", "cars"]) {
    await supervisor.start({ name, entry: script(wellBehaved) });
  }
  lines.length = 0;
  await supervisor.stop();
  expect(lines).toEqual(["cars: closing", "broker: closing", "database: closing"]);
});

test("a child that does not close in time is killed", async () => {
  const stubborn = `process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log('{"ready":true,"addresses":{}}');`;
  const impatient = supervise(300);
  const child = await impatient.start({ name: "stubborn", entry: script(stubborn) });
  await impatient.stop();
  expect(() => process.kill(child.pid, 0)).toThrow("ESRCH");
});

test.each([
  {
    what: "ends",
    source: `console.error("port 1883 is taken"); process.exitCode = 3;`,
    message: /broker ended with code 3 before it was ready.*\nport 1883 is taken/,
  },
  {
    what: "is killed",
    source: `process.kill(process.pid, "SIGKILL");`,
    message: /broker ended with SIGKILL before it was ready/,
  },
  {
    what: "stays silent",
    source: `console.error("waiting for a key"); setInterval(() => {}, 1000);`,
    message: /broker printed no ready line within 4000 ms.*\nwaiting for a key/,
    readyTimeoutMs: 4_000,
  },
  {
    what: "prints something like a ready line",
    source: `console.log('{"ready":"soon"}'); console.log('{"ready":true'); process.exitCode = 0;`,
    message: /broker ended with code 0 before it was ready/,
  },
])(
  "a child that $what before it is ready fails the start with its last lines",
  async ({ source, message, readyTimeoutMs = 20_000 }) => {
    const starting = supervisor.start({ name: "broker", entry: script(source), readyTimeoutMs });
    await expect(starting).rejects.toThrow(message);
    expect(exits).toEqual([]);
  },
);

test("a child that ends by itself later is reported with its code and last lines", async () => {
  const source = `console.log('{"ready":true,"addresses":{}}'); console.error("out of memory"); process.exitCode = 7;`;
  await supervisor.start({ name: "cars", entry: script(source) });
  expect(await firstExit).toEqual({ name: "cars", code: 7, signal: null, lastLines: ["out of memory"] });
});

test("nothing is started once the system is closing", async () => {
  await supervisor.stop();
  await expect(supervisor.start({ name: "late", entry: script(wellBehaved) })).rejects.toThrow("closing");
});

test("children close by themselves when their supervisor is killed", async () => {
  const parting: string[] = [];
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const child = script(`
    const socket = require("node:net").connect(${address.port}, "127.0.0.1", () => console.log('{"ready":true,"addresses":{}}'));
    process.on("SIGTERM", () => socket.end("closed in order"));
  `);
  const supervising = join(folder, "supervisor.mjs");
  writeFileSync(
    supervising,
    `import { superviseChildren } from ${JSON.stringify(new URL("./supervise.ts", import.meta.url).href)};
     await superviseChildren({ onUnexpectedExit() {} }).start({ name: "child", entry: ${JSON.stringify(child)} });
     console.log("supervising");`,
  );
  const connected = once(server, "connection");
  const parent = spawn(process.execPath, [supervising], { stdio: ["ignore", "pipe", "inherit"] });
  await once(createInterface({ input: parent.stdout }), "line");
  const [socket]: Socket[] = await connected;
  if (socket === undefined) throw new Error("the child did not connect");
  socket.on("data", (chunk) => parting.push(chunk.toString()));
  const ended = once(socket, "end");
  parent.kill("SIGKILL");
  await ended;
  expect(parting).toEqual(["closed in order"]);
  server.close();
});

test("in a rehearsal a child that was killed is started again in its place, with what it is told now", async () => {
  const { promise: servesAgain, resolve } = Promise.withResolvers<void>();
  const served: string[] = [];
  let starts = 0;
  const rehearsing = superviseChildren({
    onUnexpectedExit: (exit) => exits.push(exit),
    onLine: (name, line) => lines.push(`${name}: ${line}`),
    revive: ({ name }) => name === "broker",
    envFor() {
      starts += 1;
      return { START: String(starts) };
    },
    onReady: ({ name, pid, addresses }) => {
      served.push(`${name} ${addresses.start}`);
      if (served.length === 1) process.kill(pid, "SIGKILL");
      if (served.length === 2) resolve();
    },
  });
  const entry = script(`
    if (process.env.START === "2") process.kill(process.pid, "SIGKILL");
    process.on("SIGTERM", () => { console.log("closing"); process.exit(); });
    console.log(JSON.stringify({ ready: true, addresses: { start: process.env.START } }));
    setInterval(() => {}, 1000);
  `);
  await rehearsing.start({ name: "broker", entry });
  await servesAgain;
  const cars = await rehearsing.start({ name: "cars", entry });
  await rehearsing.stop();
  // The second start died before it served.
  expect(served).toEqual(["broker 1", "broker 3", "cars 4"]);
  expect(lines).toEqual(["cars: closing", "broker: closing"]);
  expect(cars.addresses.start).toBe("4");
  expect(exits).toEqual([]);
});
