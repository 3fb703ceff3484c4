import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseDeath } from "@caas/contract/failpoints.ts";
import { type Answer, answerSchema, type FleetSays, type Order, type SetUp } from "./fleet-messages.ts";

export type FleetProcess = {
  /** Of all its lives so far; what a life counted in its last half second may be missing. */
  counts(): FleetSays;
  send(order: Exclude<Order, SetUp>): void;
  show(): Promise<Extract<Answer, { kind: "shown" }>>;
  /** kill -9, from outside. */
  kill(): void;
  stop(): Promise<void>;
};

export type FleetProcessOptions = {
  /** Asked at every start: the next life may be told of another place to die. */
  setUp(): Omit<SetUp, "kind">;
  /** It was killed: at a place of the code, or by us. It is started again. */
  onKilled(place: string | null): void;
  /** It ended for another reason, which is a defect. Its last words. */
  onFailure(reason: string): void;
  signal: AbortSignal;
};

const entry = fileURLToPath(new URL("./fleet-program.ts", import.meta.url));
const keptLines = 10;

/** Runs a process of cars, and starts it again whenever it is killed. Resolves when every car has tried to connect. */
export async function startFleetProcess(options: FleetProcessOptions): Promise<FleetProcess> {
  let past: FleetSays = noCounts();
  let present: FleetSays = noCounts();
  let child: ChildProcess;
  let isStopping = false;
  let onShown: ((answer: Extract<Answer, { kind: "shown" }>) => void) | null = null;
  /** Orders of this life, given again to the next: who is out of reach stays so. */
  let standing: Exclude<Order, SetUp>[] = [];
  let up = Promise.withResolvers<void>();

  function begin(): void {
    const lastLines: string[] = [];
    let place: string | null = null;
    child = fork(entry, { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    const { stderr } = child;
    if (stderr !== null)
      createInterface({ input: stderr }).on("line", (line) => {
        place = parseDeath(line)?.name ?? place;
        lastLines.push(line);
        if (lastLines.length > keptLines) lastLines.shift();
      });
    child.on("message", (message) => {
      const answer = answerSchema.parse(message);
      if (answer.kind === "up") up.resolve();
      else {
        present = answer.counts;
        if (answer.kind === "shown") onShown?.(answer);
      }
    });
    // "close", not "exit": the last line must have been read.
    child.once("close", (code, signal) => {
      past = addCounts(past, { ...present, connected: 0 });
      present = noCounts();
      if (options.signal.aborted || (isStopping && code === 0)) return up.resolve();
      if (signal !== "SIGKILL" || isStopping) {
        const when = isStopping ? "while it was closing " : "";
        const reason = `a process of cars ended ${when}with ${signal ?? `code ${code}`}: ${lastLines.join("\n")}`;
        up.reject(new Error(reason));
        return options.onFailure(reason);
      }
      options.onKilled(place);
      begin();
    });
    child.send({ kind: "setUp", ...options.setUp() });
    for (const order of standing) child.send(order);
  }

  options.signal.addEventListener("abort", () => child.kill("SIGKILL"), { once: true });
  begin();
  await up.promise;
  up = Promise.withResolvers();
  up.promise.catch(() => undefined);
  return {
    counts: () => addCounts(past, present),
    send(order) {
      if (order.kind !== "show" && order.kind !== "stop") standing = [...standing, order];
      if (child.connected) child.send(order);
    },
    show() {
      return new Promise((resolve) => {
        const ask = () => child.connected && child.send({ kind: "show" });
        // A life that is killed meanwhile answers no more: the next is asked.
        const again = setInterval(ask, 2_000);
        onShown = (answer) => {
          clearInterval(again);
          onShown = null;
          resolve(answer);
        };
        ask();
      });
    },
    kill: () => void child.kill("SIGKILL"),
    async stop() {
      isStopping = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "close");
      if (child.connected) child.send({ kind: "stop" });
      const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
      await gone;
      clearTimeout(timer);
    },
  };
}

function noCounts(): FleetSays {
  return { connected: 0, applied: 0, failed: {}, refused: {}, crashes: {}, link: {} };
}

export function addCounts(one: FleetSays, two: FleetSays): FleetSays {
  return {
    connected: one.connected + two.connected,
    applied: one.applied + two.applied,
    failed: addByName(one.failed, two.failed),
    refused: addByName(one.refused, two.refused),
    crashes: addByName(one.crashes, two.crashes),
    link: addByName(one.link, two.link),
  };
}

function addByName(one: Readonly<Record<string, number>>, two: Readonly<Record<string, number>>) {
  const sum: Record<string, number> = { ...one };
  for (const [name, count] of Object.entries(two)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}
