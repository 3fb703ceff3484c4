import { createHash } from "node:crypto";
import { realpath, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";

// Two agents on one folder would take each other's journal for that of a crash. The lock is a listening socket: the
// kernel closes it with the process, however that ends, so no boot finds a stale one.

export type FolderLock = { release(): Promise<void> };

/** Locks the folder for this process; `null` if another process has it. */
export async function lockFolder(folder: string): Promise<FolderLock | null> {
  const real = await realpath(folder);
  const name = createHash("sha256").update(real).digest("base64url");
  // Linux has socket names that are not files. Elsewhere it is a file, which a crash leaves behind.
  const isAbstract = process.platform === "linux";
  const path = isAbstract ? `\0caas-agent-${name}` : join(real, "lock");
  const server =
    (await listen(path)) ?? (isAbstract || (await isAnswered(path)) ? null : await listenAnew(path));
  if (server === null) return null;
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}

function listen(path: string): Promise<Server | null> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(null);
      else reject(error);
    });
    server.listen(path, () => resolve(server));
  });
}

async function listenAnew(path: string): Promise<Server | null> {
  await rm(path, { force: true });
  return listen(path);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
