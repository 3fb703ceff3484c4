import { type ChildProcess, fork } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import * as z from "zod";

/** How a process ended without being told to, or not in the way it should. */
export type ProcessEnd = { why: string; signal: NodeJS.Signals | null; lastLines: readonly string[] };

/** A program of ours in a process of its own that does what it is told over its channel. */
export type CalledProcess = {
  readonly pid: number | undefined;
  readonly isRunning: boolean;
  /** What it answers. @throws Error when it cannot do it, or ends instead */
  call(command: object): Promise<unknown>;
  /** kill -9 */
  kill(): void;
  /** Tells it to end; it is killed when it has not after `patienceMs`. */
  stop(patienceMs?: number): Promise<void>;
};

export type CalledProcessOptions = {
  /** For messages about it. */
  name: string;
  /** What it says without being asked. */
  onTold?(message: unknown): void;
  onEnd?(end: ProcessEnd): void;
};

const replySchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("answer"), id: z.int(), value: z.unknown().optional() }),
  z.object({ kind: z.literal("failed"), id: z.int(), why: z.string() }),
  z.object({ kind: z.literal("told"), message: z.unknown().optional() }),
]);

const keptLines = 10;
const stopPatienceMs = 20_000;

/** @param program a module that calls `serveCalls` */
export function startCalledProcess(program: URL, options: CalledProcessOptions): CalledProcess {
  const child = fork(fileURLToPath(program), { stdio: ["ignore", "ignore", "pipe", "ipc"] });
  const lastLines = keepLastLines(child);
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const gone = Promise.withResolvers<void>();
  let lastId = 0;
  let isStopping = false;

  child.on("message", (message) => {
    const reply = replySchema.parse(message);
    if (reply.kind === "told") return options.onTold?.(reply.message);
    const call = waiting.get(reply.id);
    waiting.delete(reply.id);
    if (reply.kind === "answer") call?.resolve(reply.value);
    else call?.reject(new Error(reply.why));
  });
  // "close", not "exit": the last line must have been read.
  child.once("close", (code, signal) => {
    const words = signal === "SIGKILL" ? [] : lastLines;
    const why = [`${options.name} ended with ${signal ?? `code ${code}`}`, ...words].join("\n");
    for (const { reject } of waiting.values()) reject(new Error(why));
    waiting.clear();
    gone.resolve();
    if (!isStopping || code !== 0) options.onEnd?.({ why, signal, lastLines });
  });

  function call(command: object): Promise<unknown> {
    if (!child.connected) return Promise.reject(new Error(`${options.name} has ended`));
    lastId += 1;
    const answer = Promise.withResolvers<unknown>();
    waiting.set(lastId, answer);
    child.send({ id: lastId, command });
    return answer.promise;
  }

  return {
    pid: child.pid,
    get isRunning() {
      return child.connected;
    },
    call,
    kill: () => void child.kill("SIGKILL"),
    async stop(patienceMs = stopPatienceMs) {
      if (child.exitCode !== null || child.signalCode !== null) return gone.promise;
      isStopping = true;
      // Its end is the answer.
      call({ kind: "stop" }).catch(() => undefined);
      const timer = setTimeout(() => child.kill("SIGKILL"), patienceMs);
      await gone.promise;
      clearTimeout(timer);
    },
  };
}

/** The end of what it prints on standard error. */
function keepLastLines(child: ChildProcess): readonly string[] {
  const lastLines: string[] = [];
  if (child.stderr !== null)
    createInterface({ input: child.stderr }).on("line", (line) => {
      lastLines.push(line);
      if (lastLines.length > keptLines) lastLines.shift();
    });
  return lastLines;
}
