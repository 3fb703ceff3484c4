import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";

/** The account PostgreSQL runs as: ours, or, where we are root (which PostgreSQL refuses), another one. */
export type OperatingUser =
  | { kind: "ourselves" }
  | { kind: "another"; name: string; uid: number; gid: number };

/**
 * As root: `postgres` where that account exists, otherwise `nobody`, which every system has. No account is
 * created: starting a program should not change the machine it runs on.
 *
 * @throws when we are root and neither account exists.
 */
export function chooseOperatingUser(candidates: readonly string[] = ["postgres", "nobody"]): OperatingUser {
  if (process.getuid?.() !== 0) return { kind: "ourselves" };
  for (const name of candidates) {
    const uid = readId("-u", name);
    const gid = readId("-g", name);
    if (uid !== undefined && gid !== undefined && uid !== 0) return { kind: "another", name, uid, gid };
  }
  throw new Error(
    `PostgreSQL refuses to run as root and none of the accounts ${candidates.join(", ")} exists. ` +
      `Create one, run as a plain user, or set DATABASE_URL to an existing server.`,
  );
}

/** The part of spawn's options that makes a child run as `user`. */
export function identityOf(user: OperatingUser): { uid?: number; gid?: number } {
  return user.kind === "another" ? { uid: user.uid, gid: user.gid } : {};
}

/** Whether `user` can open what lies at this absolute path: every folder above it counts. */
export function canReach(user: OperatingUser, path: string): boolean {
  if (user.kind === "ourselves") {
    try {
      accessSync(path, constants.R_OK | constants.X_OK);
      return true;
    } catch {
      return false;
    }
  }
  // Asked of the kernel, as that user: so modes, groups and access lists all count.
  return succeeds(user, "/", 'test -r "$1" && test -x "$1"', path);
}

/** Whether `user` can write to the folder it is started in when it calls that folder `/proc/self/cwd`. */
export function canWriteThroughWorkingFolder(user: OperatingUser, folder: string): boolean {
  return succeeds(user, folder, "cd /proc/self/cwd && test -w /proc/self/cwd/.", folder);
}

function succeeds(user: OperatingUser, folder: string, script: string, argument: string): boolean {
  const options = { ...identityOf(user), cwd: folder, stdio: "ignore" } as const;
  return spawnSync("/bin/sh", ["-c", script, "sh", argument], options).status === 0;
}

function readId(flag: "-u" | "-g", name: string): number | undefined {
  try {
    const text = execFileSync("id", [flag, name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    const id = Number.parseInt(text, 10);
    return Number.isInteger(id) ? id : undefined;
  } catch {
    return undefined;
  }
}
