import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { findFreePort } from "../ports.ts";
import { letUsEnd, startWatchdog, type Watchdog } from "../watchdog.ts";
import type { PostgresBinaries } from "./binaries.ts";
import { type ClusterAddress, programEnvironment } from "./cluster.ts";
import { identityOf, type OperatingUser } from "./operating-user.ts";

/**
 * `full`: every commit is on disk before it is answered. `none`: for databases thrown away after the run; a
 * crash of the machine loses them.
 */
export type Durability = "full" | "none";

export type ServerProcess = { port: number; pid: number; stop: () => Promise<void> };

export type ServerOptions = {
  binaries: PostgresBinaries;
  user: OperatingUser;
  address: ClusterAddress;
  /** 0 takes a free one. */
  port: number;
  durability: Durability;
  /** Removed by the watchdog, too, when this process is killed. */
  temporaryFolder?: string;
  onLine: (line: string) => void;
  /** The server ended without being asked to. */
  onUnexpectedExit: (reason: string) => void;
};

/** Crash recovery after a kill reads up to max_wal_size (1 GB); a slow disk needs a good part of a minute. */
const readyTimeoutMs = 120_000;
/** A fast shutdown writes one checkpoint. Longer than this, it is stuck and recovery is the better way. */
const stopTimeoutMs = 20_000;

export async function startServer(options: ServerOptions): Promise<ServerProcess> {
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port === 0 ? await findFreePort() : options.port;
    const started = await launch(options, port);
    if (started.status === "ready") return started.server;
    // Between finding a free port and taking it, another program may have taken it.
    const takenMeanwhile =
      options.port === 0 && started.lastLines.includes("could not create any TCP/IP sockets");
    if (!takenMeanwhile || attempt === 5) {
      throw new Error(`PostgreSQL did not start on port ${port}:\n${started.lastLines}`);
    }
  }
}

type Launched = { status: "ready"; server: ServerProcess } | { status: "failed"; lastLines: string };

function launch(options: ServerOptions, port: number): Promise<Launched> {
  return new Promise((resolve, reject) => {
    const { binaries, address, user } = options;
    const child = spawn(
      binaries.postgres,
      ["-D", address.pgdata, ...settingsFlags(options.durability, port)],
      {
        ...identityOf(user),
        cwd: address.folder,
        env: programEnvironment(),
        // A session of its own: ^C in the terminal must not reach the database before the parts that still write to it.
        detached: true,
        stdio: ["ignore", "ignore", "pipe"],
      },
    );
    const lastLines: string[] = [];
    let phase: "starting" | "ready" | "stopping" = "starting";
    let watchdog: Watchdog | undefined;
    const timer = setTimeout(() => child.kill("SIGQUIT"), readyTimeoutMs);
    child.on("error", reject);
    const exited = new Promise<void>((ended) => {
      child.on("close", (code, signal) => {
        clearTimeout(timer);
        watchdog?.dismiss();
        ended();
        const reason = `PostgreSQL ended with ${signal ?? `code ${code}`}`;
        lastLines.push(reason);
        if (phase === "starting") resolve({ status: "failed", lastLines: lastLines.join("\n") });
        if (phase === "ready") options.onUnexpectedExit(lastLines.join("\n"));
      });
    });
    const stop = async () => {
      if (phase === "ready") {
        phase = "stopping";
        child.ref();
        child.kill("SIGINT"); // "fast shutdown": open sessions are ended, everything committed is kept
        setTimeout(() => child.kill("SIGQUIT"), stopTimeoutMs).unref();
      }
      await exited;
    };
    createInterface({ input: child.stderr }).on("line", (line) => {
      lastLines.push(line);
      if (lastLines.length > 20) lastLines.shift();
      options.onLine(line);
      const pid = child.pid;
      if (phase !== "starting" || pid === undefined) return;
      if (!line.includes("database system is ready to accept connections")) return;
      phase = "ready";
      clearTimeout(timer);
      watchdog = watchServer(pid, address.folder, options.temporaryFolder);
      letUsEnd(child);
      resolve({ status: "ready", server: { port, pid, stop } });
    });
  });
}

/** Shuts the server down when this process is gone, after making sure that the number still belongs to it. */
function watchServer(pid: number, folder: string, temporaryFolder = ""): Watchdog {
  const script = `
    [ "$(head -n 1 postmaster.pid 2> /dev/null)" = "$1" ] && kill -INT "$1"
    waited=0
    while [ -f postmaster.pid ] && [ "$waited" -lt ${stopTimeoutMs / 1_000} ]; do sleep 1; waited=$((waited + 1)); done
    [ "$(head -n 1 postmaster.pid 2> /dev/null)" = "$1" ] && kill -QUIT "$1"
    cd /
    [ -n "$2" ] && rm -rf "$2"
  `;
  return startWatchdog(script, [String(pid), temporaryFolder], folder);
}

function settingsFlags(durability: Durability, port: number): string[] {
  const settings: Record<string, string | number> = {
    port,
    listen_addresses: "127.0.0.1",
    // No socket file: one in /tmp would be open to every user of the machine.
    unix_socket_directories: "",
    password_encryption: "scram-sha-256",
    max_connections: 100,
    shared_buffers: "128MB",
    effective_cache_size: "512MB",
    work_mem: "8MB",
    random_page_cost: 1.1, // solid-state disks
    jit: "off", // short statements: compiling one costs more than running it
    max_wal_size: "1GB",
    checkpoint_timeout: "15min",
    log_checkpoints: "off",
    timezone: "UTC",
    log_timezone: "UTC",
    ...(durability === "none"
      ? {
          fsync: "off",
          synchronous_commit: "off",
          full_page_writes: "off",
          wal_level: "minimal",
          max_wal_senders: 0,
        }
      : {}),
  };
  return Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}
