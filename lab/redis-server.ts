import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
  let child = await begin(program, port, folder);
  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    kill,
    async restart() {
      child = await begin(program, port, folder);
    },
    freeze: () => void child.kill("SIGSTOP"),
    resume: () => void child.kill("SIGCONT"),
    async stop() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** In memory alone: what it held is gone with it. */
async function begin(program: string, port: number, folder: string): Promise<ChildProcess> {
  const child = spawn(
    program,
    ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const ready = new Promise<void>((resolve) => {
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      if (text.includes("Ready to accept connections")) resolve();
    });
  });
  const gone = once(child, "exit").then(([code]) => {
    throw new Error(`Redis ended with code ${String(code)} before it was ready`);
  });
  gone.catch(() => undefined);
  await Promise.race([ready, gone]);
  return child;
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}
