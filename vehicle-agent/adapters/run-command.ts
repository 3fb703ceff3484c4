import { spawn } from "node:child_process";
import { cutTextBefore } from "@caas/contract/outside-text.ts";

export type CommandOptions = {
  /** Run by the shell. */
  command: string;
  /** Added to the agent's own environment. */
  environment?: NodeJS.ProcessEnv;
  /** Without it the command's input is empty. */
  input?: string;
  /** Real ms; then it is killed with everything it started. */
  timeoutMs: number;
};

/** Enough of the output's end to know what went wrong; it goes into a signed report. */
const longestTail = 300;

/** Runs a command of the car; `detail` is the end of its standard error or, without output, how it ended. */
export function runCommand(options: CommandOptions): Promise<{ ok: true } | { ok: false; detail: string }> {
  return new Promise((resolve) => {
    const child = spawn(options.command, {
      shell: true,
      stdio: ["pipe", "ignore", "pipe"],
      // Its own process group: processes that the shell started must not outlive the time-out and hold its output open.
      detached: true,
      env: { ...process.env, ...options.environment },
    });
    let words = "";
    let isTimedOut = false;
    const timer = setTimeout(() => {
      isTimedOut = true;
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, options.timeoutMs);
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      words = cutTextBefore(words + chunk, longestTail);
    });
    child.on("error", (error) => {
      clearTimeout(timer);
      resolve({ ok: false, detail: error.message });
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (code === 0 && !isTimedOut) return resolve({ ok: true });
      const ending = signal === null ? `exit code ${code}` : `ended by ${signal}`;
      const said = words.trim() || ending;
      resolve({ ok: false, detail: isTimedOut ? `no end within ${options.timeoutMs} ms` : said });
    });
    // A command may ignore its input; only its exit code counts.
    child.stdin.on("error", () => undefined).end(options.input ?? "");
  });
}
