import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { startWatchdog } from "../start/watchdog.ts";

// Programs beside the platform that a measurement starts and ends: brokers, an agent, Redis. Some of them are not ours
// and would not notice that we have ended, so a watchdog ends each of them when we are killed.

export type ChildProgram = {
  /** For messages about it. */
  name: string;
  command: string;
  args: readonly string[];
  env?: NodeJS.ProcessEnv;
  /** Where it prints that it serves. */
  speaksOn: "stdout" | "stderr";
  /** Whether its output so far says that it serves; default: once it has printed a line. */
  isReady?: (said: string) => boolean;
};

export type RunningProgram = {
  child: ChildProcess;
  pid: number;
  /** Its output until it was ready. */
  said: string;
  stop(signal?: NodeJS.Signals): Promise<void>;
};

/** Ends the process $1, by force when it has not after 3 s. */
const endScript = `
  kill -TERM "$1"
  waited=0
  while kill -0 "$1" && [ "$waited" -lt 3 ]; do sleep 1; waited=$((waited + 1)); done
  kill -KILL "$1"
`;
/** All of them start in well under a second on an idle machine. */
const readyTimeoutMs = 20_000;

/** @throws Error with its words when it ends, or stays silent too long, before it is ready */
export async function startProgram(program: ChildProgram): Promise<RunningProgram> {
  const { name, speaksOn, isReady = (said) => said.includes("\n") } = program;
  const child = spawn(program.command, program.args, {
    stdio: ["ignore", speaksOn === "stdout" ? "pipe" : "ignore", speaksOn === "stderr" ? "pipe" : "inherit"],
    ...(program.env === undefined ? {} : { env: program.env }),
  });
  if (child.pid !== undefined) {
    const watchdog = startWatchdog(endScript, [String(child.pid)]);
    child.once("exit", watchdog.dismiss);
  }
  const ready = Promise.withResolvers<string>();
  let said: string | null = "";
  child[speaksOn]?.setEncoding("utf8").on("data", (text: string) => {
    if (said === null) return;
    said += text;
    if (!isReady(said)) return;
    ready.resolve(said);
    said = null;
  });
  child.once("error", ready.reject);
  child.once("exit", (code) =>
    ready.reject(new Error(`${name} ended with code ${String(code)} before it was ready: ${said ?? ""}`)),
  );
  const timer = setTimeout(() => {
    child.kill("SIGKILL");
    ready.reject(new Error(`${name} was not ready after ${readyTimeoutMs} ms: ${said ?? ""}`));
  }, readyTimeoutMs);
  const words = await ready.promise.finally(() => clearTimeout(timer));
  return {
    child,
    pid: child.pid ?? 0,
    said: words,
    async stop(signal = "SIGTERM") {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.kill(signal);
      await gone;
    },
  };
}
