import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { type LogFile, openLogFile } from "./log-file.ts";

export type ChildSpec = {
  /** Short and unique: the log file's name and the prefix of its lines. */
  name: string;
  /** The `main.ts` to run. */
  entry: string | URL;
  args?: readonly string[];
  /** Node's own options for this child, after those for all: where they contradict, these win. */
  nodeOptions?: readonly string[];
  /** Added to our own environment. */
  env?: Readonly<Record<string, string>>;
  /** Default 30 s: a first start on a busy two-core machine makes keys and migrates a database. */
  readyTimeoutMs?: number;
};

/** `addresses` is what the child printed in its ready line, for example `{ "http": "http://127.0.0.1:8080" }`. */
export type RunningChild = { name: string; pid: number; addresses: Readonly<Record<string, string>> };

export type UnexpectedExit = {
  name: string;
  code: number | null;
  signal: NodeJS.Signals | null;
  /** The end of what it printed, standard error first of all. */
  lastLines: readonly string[];
};

export type SuperviseOptions = {
  /** A child that was ready ended without being asked. Nothing is restarted: the caller decides. */
  onUnexpectedExit: (exit: UnexpectedExit) => void;
  /** Every line a child prints, except the ready line. */
  onLine?: (name: string, line: string) => void;
  /** Every line also goes to `<logFolder>/<name>.log`. */
  logFolder?: string;
  /** A log cannot be written, in a sentence; the children go on. */
  onTrouble?: (sentence: string) => void;
  /** How long a child may take to close before SIGKILL. Default 3 s. */
  stopTimeoutMs?: number;
  /** Node's own options for every child, and variables for all of them. */
  nodeOptions?: readonly string[];
  env?: Readonly<Record<string, string>>;
} & Rehearsal;

/** For rehearsals of what happens when parts die. */
export type Rehearsal = {
  /** Asked before `onUnexpectedExit`: whether to start this child again as it was specified. Without it, never. */
  revive?: (exit: UnexpectedExit) => boolean;
  /** Variables for one start of one child; asked at every start. */
  envFor?: (name: string) => Readonly<Record<string, string>>;
  /** A child serves, for the first time or again. */
  onReady?: (child: RunningChild) => void;
};

export type Supervisor = {
  /** @throws when the child ends, or stays silent too long, before its ready line; the message holds its last lines. */
  start: (spec: ChildSpec) => Promise<RunningChild>;
  /** Closes all children, the last started first, one after another. May be called more than once. */
  stop: () => Promise<void>;
};

type Supervised = { name: string; process: ChildProcess; ended: Promise<void>; hasEnded: boolean };

const keptLines = 20;
const preload = new URL("./end-with-supervisor.ts", import.meta.url);

/**
 * Runs parts of the system as child processes of this one, with this Node.
 *
 * A child says that it serves by one line on standard output: `{"ready":true,"addresses":{…}}`. Each has its
 * own process group, so the terminal's ^C reaches only us and we close in order; if we are killed, each child
 * closes by itself (end-with-supervisor.ts).
 */
export function superviseChildren(options: SuperviseOptions): Supervisor {
  const children: Supervised[] = [];
  let stopped: Promise<void> | undefined;

  const start = async (spec: ChildSpec): Promise<RunningChild> => {
    if (stopped !== undefined) throw new Error(`${spec.name} is not started: the system is closing.`);
    return startChild(spec, options, children, () => stopped !== undefined);
  };
  const stop = () => {
    stopped ??= stopInReverse(children, options.stopTimeoutMs ?? 3_000);
    return stopped;
  };
  return { start, stop };
}

function startChild(
  spec: ChildSpec,
  options: SuperviseOptions,
  children: Supervised[],
  isStopping: () => boolean,
  predecessor: Supervised | null = null,
): Promise<RunningChild> {
  const { name, readyTimeoutMs = 30_000 } = spec;
  const entry = spec.entry instanceof URL ? fileURLToPath(spec.entry) : spec.entry;
  const child = spawn(
    process.execPath,
    [
      ...(options.nodeOptions ?? []),
      ...(spec.nodeOptions ?? []),
      ...["--import", preload.href, entry],
      ...(spec.args ?? []),
    ],
    {
      env: { ...process.env, ...options.env, ...spec.env, ...options.envFor?.(name) },
      detached: true,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    },
  );
  const log = openLog(options, name);
  const lastLines: Record<"stdout" | "stderr", string[]> = { stdout: [], stderr: [] };
  const takeLine = (stream: "stdout" | "stderr", line: string) => {
    lastLines[stream].push(line);
    if (lastLines[stream].length > keptLines) lastLines[stream].shift();
    log?.write(line);
    options.onLine?.(name, line);
  };
  // Standard error explains an end best; a child that logs to standard output only is heard as well.
  const readLastLines = () => (lastLines.stderr.length > 0 ? lastLines.stderr : lastLines.stdout);

  return new Promise((resolve, reject) => {
    let phase: "starting" | "ready" | "failed" = "starting";
    const fail = (why: string) => {
      if (phase !== "starting") return;
      phase = "failed";
      clearTimeout(timer);
      reject(new Error([`${name} ${why}. Its last lines:`, ...readLastLines()].join("\n")));
    };
    const timer = setTimeout(() => {
      fail(`printed no ready line within ${readyTimeoutMs} ms`);
      killGroup(child);
    }, readyTimeoutMs);

    readLines(child.stdout, (line) => {
      const addresses = phase === "starting" ? readReadyLine(line) : undefined;
      if (addresses === undefined || child.pid === undefined) return takeLine("stdout", line);
      phase = "ready";
      clearTimeout(timer);
      const running = { name, pid: child.pid, addresses };
      options.onReady?.(running);
      resolve(running);
    });
    readLines(child.stderr, (line) => takeLine("stderr", line));

    // Until its last line is in the log, too.
    const ended = whenEnded(child).then(() => log?.end());
    const supervised: Supervised = { name, process: child, ended, hasEnded: false };
    // In its predecessor's place: closing goes by the order of the parts, not of their starts.
    if (predecessor === null) children.push(supervised);
    else children[children.indexOf(predecessor)] = supervised;
    child.on("error", (error) => fail(`cannot be run: ${error.message}`));
    supervised.ended.then(() => {
      supervised.hasEnded = true;
      const { exitCode: code, signalCode: signal } = child;
      // One that was started again may die before it serves: only we wait for it.
      if ((phase === "ready" || predecessor !== null) && !isStopping()) {
        const exit = { name, code, signal, lastLines: [...readLastLines()] };
        if (options.revive?.(exit) === true)
          startChild(spec, options, children, isStopping, supervised).catch(() => undefined);
        else options.onUnexpectedExit(exit);
      }
      fail(`ended with ${signal ?? `code ${code}`} before it was ready`);
    });
  });
}

async function stopInReverse(children: readonly Supervised[], stopTimeoutMs: number): Promise<void> {
  for (const child of children.toReversed()) {
    if (child.hasEnded) continue;
    child.process.kill("SIGTERM");
    const timer = setTimeout(() => killGroup(child.process), stopTimeoutMs);
    await child.ended;
    clearTimeout(timer);
  }
}

/** The child and all that it started. */
function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    child.kill("SIGKILL"); // no group of its own (Windows), or already gone
  }
}

/** Ended and its output read to the end; a grandchild that holds the output open delays us half a second at most. */
function whenEnded(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.on("close", () => resolve());
    child.on("exit", () => setTimeout(resolve, 500).unref());
    child.on("error", () => {
      if (child.pid === undefined) resolve();
    });
  });
}

function readReadyLine(line: string): Readonly<Record<string, string>> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const parsed: unknown = JSON.parse(line);
    if (typeof parsed !== "object" || parsed === null) return undefined;
    if (!("ready" in parsed) || parsed.ready !== true) return undefined;
    const listed = "addresses" in parsed ? parsed.addresses : {};
    if (typeof listed !== "object" || listed === null) return undefined;
    return Object.fromEntries(Object.entries(listed).map(([key, value]) => [key, String(value)]));
  } catch {
    return undefined;
  }
}

function readLines(stream: Readable | null, take: (line: string) => void): void {
  if (stream !== null) createInterface({ input: stream }).on("line", take);
}

function openLog(
  { logFolder, onTrouble = () => undefined }: SuperviseOptions,
  name: string,
): LogFile | undefined {
  return logFolder === undefined ? undefined : openLogFile(join(logFolder, `${name}.log`), { onTrouble });
}
