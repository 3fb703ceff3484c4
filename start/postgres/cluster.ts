import { spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { PostgresBinaries } from "./binaries.ts";
import { canReach, canWriteThroughWorkingFolder, identityOf, type OperatingUser } from "./operating-user.ts";
import { readStartMark } from "./process-identity.ts";

export const superuser = "caas";
export const databaseName = "caas";

/** How a program run as the operating user finds the cluster: working folder and the name for `-D`. */
export type ClusterAddress = { folder: string; pgdata: string };

/**
 * Gives the cluster's folder to `user` and finds a name by which that user can open it. Below a folder closed
 * to it (a checkout in root's 0700 home) the absolute path does not work; there the program is started inside
 * the folder and calls it `/proc/self/cwd`, which Linux resolves without walking the path. So the data always
 * lies where it was asked for, and can be moved and deleted with it.
 *
 * @throws where neither works (no /proc: macOS as root).
 */
export function addressCluster(folder: string, user: OperatingUser): ClusterAddress {
  if (user.kind === "ourselves") return { folder, pgdata: folder };
  chownSync(folder, user.uid, user.gid);
  if (canReach(user, folder)) return { folder, pgdata: folder };
  if (canWriteThroughWorkingFolder(user, folder)) return { folder, pgdata: "/proc/self/cwd" };
  throw new Error(
    `PostgreSQL runs as ${user.name} (it refuses root), and ${user.name} cannot reach ${folder}. ` +
      `Choose a data folder that ${user.name} can reach, or run as a plain user.`,
  );
}

/**
 * Makes a new cluster at `folder`, with the superuser's password and an empty database, safe on disk. It is
 * built beside and renamed at the end: a start killed half-way leaves nothing that looks like a cluster.
 */
export async function createCluster(
  folder: string,
  password: string,
  binaries: PostgresBinaries,
  user: OperatingUser,
  durable: boolean,
): Promise<void> {
  const draft = `${folder}.draft`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { mode: 0o700 });
  const address = addressCluster(draft, user);
  const at = ["-D", address.pgdata];
  const initdbFlags = [
    `--username=${superuser}`,
    "--pwfile=/dev/stdin",
    "--auth-local=reject",
    "--auth-host=scram-sha-256",
    "--encoding=UTF8",
    // PostgreSQL's own C.UTF-8: sorts the same on every machine, independent of its libc.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-sync",
    "--no-instructions",
  ];
  const passwordFile = openPasswordFile(`${folder}.password`, password, user);
  try {
    await runProgram(binaries.initdb, [...at, ...initdbFlags], { address, user, stdin: passwordFile });
  } finally {
    closeSync(passwordFile);
  }
  // Single-user mode: the database exists before any client can connect, and no client library is needed.
  await runProgram(binaries.postgres, ["--single", ...at, "-c", "fsync=off", "postgres"], {
    address,
    user,
    stdin: "pipe",
    input: `CREATE DATABASE ${databaseName};\n`,
  });
  if (durable) {
    await runProgram(binaries.initdb, [...at, "--sync-only"], { address, user, stdin: "ignore" });
  }
  renameSync(draft, folder);
}

/** @throws when the cluster was made by another major version than the programs can open. */
export function refuseOtherMajor(folder: string, binaries: PostgresBinaries): void {
  const found = readFileSync(join(folder, "PG_VERSION"), "utf8").trim();
  const ours = binaries.version.split(".")[0];
  if (found !== ours) {
    throw new Error(`The data in ${folder} belongs to PostgreSQL ${found}; the programs are ${ours}.`);
  }
}

/**
 * Ends a server whose owner was killed and which still runs on this cluster, and forgets a `postmaster.pid`
 * that now names another program's process (PostgreSQL would refuse to start because of it). The caller holds
 * the folder's lock, so no server found here can be wanted.
 *
 * @returns the process id of a server that had to be stopped.
 */
export async function stopLeftoverServer(folder: string): Promise<number | undefined> {
  const pidFile = join(folder, "postmaster.pid");
  if (!existsSync(pidFile)) return undefined;
  const pid = Number.parseInt(readFileSync(pidFile, "utf8"), 10);
  const startMark = pid > 1 ? readStartMark(pid) : undefined;
  if (startMark === undefined) return undefined; // PostgreSQL itself recovers from a dead predecessor
  if (!runsOnCluster(pid, folder)) {
    rmSync(pidFile, { force: true });
    return undefined;
  }
  const isGone = () => readStartMark(pid) !== startMark;
  for (const [signal, patienceMs] of [
    ["SIGINT", 10_000],
    ["SIGQUIT", 5_000],
    ["SIGKILL", 5_000],
  ] as const) {
    if (!isGone()) process.kill(pid, signal);
    for (let waitedMs = 0; waitedMs < patienceMs && !isGone(); waitedMs += 25) await delay(25);
    if (isGone()) return pid;
  }
  throw new Error(`A PostgreSQL left behind (process ${pid}) still runs on ${folder} and cannot be stopped.`);
}

function runsOnCluster(pid: number, folder: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === folder;
  } catch {
    // No /proc: better to stop with a sentence (see above) than to start a second server on the same files.
    return process.platform !== "linux";
  }
}

/** An open file that only its descriptor leads to: the password is in no argument and at no path. */
function openPasswordFile(path: string, password: string, user: OperatingUser): number {
  rmSync(path, { force: true });
  writeFileSync(path, `${password}\n`, { mode: 0o600, flag: "wx" });
  chmodSync(path, 0o600);
  if (user.kind === "another") chownSync(path, user.uid, user.gid);
  const descriptor = openSync(path, "r");
  rmSync(path);
  return descriptor;
}

type ProgramInput = { address: ClusterAddress; user: OperatingUser } & (
  | { stdin: number | "ignore" }
  | { stdin: "pipe"; input: string }
);

function runProgram(program: string, args: string[], input: ProgramInput): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      ...identityOf(input.user),
      cwd: input.address.folder,
      env: programEnvironment(),
      stdio: [input.stdin, "pipe", "pipe"],
    });
    let output = "";
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout?.on("data", collect);
    child.stderr?.on("data", collect);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) return resolve();
      const shown = [program, ...args].join(" ");
      reject(new Error(`${shown} ended with ${signal ?? `code ${code}`}:\n${output.slice(-2_000)}`));
    });
    if (input.stdin === "pipe") {
      child.stdin?.on("error", () => undefined); // its end is reported by "close" above
      child.stdin?.end(input.input);
    }
  });
}

/** Nothing of our own environment (secrets, PG* settings, locale) reaches the server. */
export function programEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };
}
