import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../start/ports.ts";
import { startProgram } from "./child-program.ts";
import { findOrInstall, type ProgramSearch } from "./debian-packages.ts";

// A real Redis in a process of its own, from Debian's package, that can be taken away and come back on its port.

export type RedisServer = {
  url: string;
  /** The server ends at once, with all it held. */
  kill(): Promise<void>;
  /** Comes back on the same port, empty. */
  restart(): Promise<void>;
  /** Keeps its connections and answers nothing until `resume`. */
  freeze(): void;
  resume(): void;
  stop(): Promise<void>;
};

export const findRedis = (): Promise<ProgramSearch> => findOrInstall("redis-server", "redis-server");

/** @throws Error when it does not come up */
export async function startRedis(program: string): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), "caas-redis-"));
  const port = await findFreePort();
  // In memory alone: what it held is gone with it.
  const settings = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const begin = () =>
    startProgram({
      name: "Redis",
      command: program,
      args: [...settings, "--dir", folder],
      speaksOn: "stdout",
      isReady: (said) => said.includes("Ready to accept connections"),
    });
  let running = await begin();
  const kill = () => running.stop("SIGKILL");
  return {
    url: `redis://127.0.0.1:${port}`,
    kill,
    async restart() {
      running = await begin();
    },
    freeze: () => void running.child.kill("SIGSTOP"),
    resume: () => void running.child.kill("SIGCONT"),
    async stop() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
