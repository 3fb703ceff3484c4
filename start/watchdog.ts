import { type ChildProcess, spawn } from "node:child_process";

export type Watchdog = {
  /** What it waited for need not happen any more. */
  dismiss(): void;
};

/**
 * A shell that waits for the end of a pipe that only this process holds. However this process ends (kill -9 too), the
 * kernel closes the pipe, and the shell runs `script` with `args` as its $1, $2 and so on.
 */
export function startWatchdog(script: string, args: readonly string[], folder = "/"): Watchdog {
  const shell = spawn("/bin/sh", ["-c", `cat > /dev/null\n${script}`, "sh", ...args], {
    cwd: folder,
    // ^C at a terminal must not end it before what it watches.
    detached: true,
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin" },
    stdio: ["pipe", "ignore", "ignore"],
  });
  // Where there is no shell, what it would have ended is left behind when this process is killed.
  shell.on("error", () => undefined);
  letUsEnd(shell);
  return {
    dismiss() {
      try {
        // With `cat`, which is in its group.
        if (shell.pid !== undefined) process.kill(-shell.pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    },
  };
}

/** A child alone keeps our process from ending no more than an open database connection's peer does. */
export function letUsEnd(child: ChildProcess): void {
  child.unref();
  for (const stream of [child.stdin, child.stderr]) {
    if (stream !== null && "unref" in stream && typeof stream.unref === "function") stream.unref();
  }
}
