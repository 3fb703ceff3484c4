import { linkSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { identifyThisProcess, type ProcessIdentity, readStartMark } from "./process-identity.ts";

/** How often a holder shows that it lives, for starters on other machines that cannot see its process. */
const heartbeatMs = 15_000;
/** A foreign lock this old is abandoned: four missed heartbeats. */
const foreignLockExpiresMs = 60_000;

type LockRecord = ProcessIdentity & { lockedAt: string };

export class FolderInUse extends Error {
  override name = "FolderInUse";
}

/**
 * Takes the data folder for this process, by a file `lock.json` naming process, start time and host.
 * A lock whose process is gone (or whose number now belongs to another process) is taken over.
 *
 * @throws FolderInUse when a live process holds it; the sentence names that process.
 * @returns a function that gives the folder free again.
 */
export function lockFolder(folder: string): () => void {
  const lockPath = join(folder, "lock.json");
  const record: LockRecord = { ...identifyThisProcess(), lockedAt: new Date().toISOString() };
  const draftPath = join(folder, `lock.${process.pid}.${process.hrtime.bigint()}.draft`);
  writeFileSync(draftPath, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  try {
    // link(2) creates the lock with its content in one step, so a reader never sees half a lock.
    while (!linked(draftPath, lockPath)) setAsideAbandonedLock(lockPath, folder);
  } finally {
    rmSync(draftPath, { force: true });
  }
  const heartbeat = setInterval(() => touch(lockPath), heartbeatMs).unref();
  return () => {
    clearInterval(heartbeat);
    if (sameHolder(readLock(lockPath), record)) rmSync(lockPath, { force: true });
  };
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

function setAsideAbandonedLock(lockPath: string, folder: string): void {
  const found = readLock(lockPath);
  if (found !== undefined && holderLives(found, lockPath)) {
    throw new FolderInUse(
      `The data folder ${folder} is in use by process ${found.pid} on ${found.host} since ${found.lockedAt}. ` +
        `Stop that process first, or choose another data folder.`,
    );
  }
  const asidePath = `${lockPath}.${process.pid}.abandoned`;
  try {
    renameSync(lockPath, asidePath);
  } catch (error) {
    // Another process set it aside at the same moment; the next link decides. Anything else would come again forever.
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
    throw error;
  }
  // Between reading and renaming another starter may have locked: then the file just moved is a live lock.
  const moved = readLock(asidePath);
  if (moved !== undefined && !sameHolder(moved, found)) linked(asidePath, lockPath);
  rmSync(asidePath, { force: true, recursive: true });
}

function holderLives(holder: LockRecord, lockPath: string): boolean {
  const self = identifyThisProcess();
  if (holder.host !== self.host) {
    const modifiedMs = statSync(lockPath, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    return Date.now() - modifiedMs < foreignLockExpiresMs;
  }
  return holder.bootId === self.bootId && readStartMark(holder.pid) === holder.startMark;
}

function sameHolder(left: LockRecord | undefined, right: LockRecord | undefined): boolean {
  return (
    left?.pid === right?.pid &&
    left?.startMark === right?.startMark &&
    left?.host === right?.host &&
    left?.lockedAt === right?.lockedAt
  );
}

/** @returns undefined for a lock that is absent or unreadable: such a file protects nothing. */
function readLock(lockPath: string): LockRecord | undefined {
  try {
    const parsed: unknown = JSON.parse(readFileSync(lockPath, "utf8"));
    return isLockRecord(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isLockRecord(value: unknown): value is LockRecord {
  if (typeof value !== "object" || value === null) return false;
  if (!("pid" in value) || typeof value.pid !== "number") return false;
  return ["startMark", "host", "bootId", "lockedAt"].every(
    (key) => typeof Reflect.get(value, key) === "string",
  );
}

function touch(lockPath: string): void {
  try {
    utimesSync(lockPath, new Date(), new Date());
  } catch {
    // The folder was deleted under a running server; PostgreSQL reports that, not the heartbeat.
  }
}
