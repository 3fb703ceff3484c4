import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { provideBinaries } from "./binaries.ts";
import {
  addressCluster,
  createCluster,
  databaseName,
  refuseOtherMajor,
  stopLeftoverServer,
  superuser,
} from "./cluster.ts";
import { lockFolder } from "./folder-lock.ts";
import { chooseOperatingUser, type OperatingUser } from "./operating-user.ts";
import { type Durability, startServer } from "./server-process.ts";

/** The part of a pino logger that is used; the server's own lines go to `debug`. */
export type PostgresLogger = {
  debug: (message: string) => void;
  info: (message: string) => void;
  warn: (message: string) => void;
};

export type EmbeddedPostgresOptions = {
  /** Made when absent (0711). Holds `cluster/` (PostgreSQL's files), `password` (0600) and `lock.json`. */
  dataDir: string;
  /** TCP port on 127.0.0.1; 0, the default, takes a free one. */
  port?: number;
  /** Default `full`. */
  durability?: Durability;
  logger?: PostgresLogger;
  /** The server ended by itself; `reason` holds its last lines. */
  onUnexpectedExit?: (reason: string) => void;
  /** Default: ourselves, or as root `postgres`, else `nobody`. */
  operatingUser?: OperatingUser;
};

export type EmbeddedPostgres = {
  /** `postgres://caas:<password>@127.0.0.1:<port>/caas` */
  url: string;
  /** Ends all sessions, writes a checkpoint, ends the server, gives the folder free. May be called twice. */
  stop: () => Promise<void>;
  /** Whether this start made the database. */
  freshlyCreated: boolean;
};

/**
 * Starts PostgreSQL 18 from npm's binaries on a data folder of our own, for those who have no server.
 *
 * It listens on 127.0.0.1 only, with a generated password (SCRAM). As root it runs as another account, also
 * where checkout or data lie below a folder closed to that account (see `addressCluster`, `provideBinaries`).
 * It is shielded from the terminal's ^C, so the caller closes it last; if the caller is killed, a watchdog
 * shuts it down, and failing that the next start does.
 *
 * @throws FolderInUse when another live process has the folder; the message names it.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  return start(options, undefined);
}

/**
 * Whether `url` is of the database in this folder: a shell that was given its address yesterday still has it, and means
 * the same database.
 */
export function isOfFolder(url: string, dataDir: string): boolean {
  const path = passwordFile(dataDir);
  if (!URL.canParse(url) || !existsSync(path)) return false;
  const { hostname, username, password } = new URL(url);
  return hostname === "127.0.0.1" && username === superuser && password === readFileSync(path, "utf8").trim();
}

function passwordFile(dataDir: string): string {
  return join(dataDir, "password");
}

/** The same on a folder that is removed again at the end, without durability: for tests and trials. */
export async function startTemporaryPostgres(
  options: Omit<EmbeddedPostgresOptions, "dataDir" | "durability"> = {},
): Promise<EmbeddedPostgres> {
  const dataDir = mkdtempSync(join(tmpdir(), "caas-postgres-"));
  chmodSync(dataDir, 0o711); // others may pass through to what is theirs, as below any data folder of ours
  try {
    const server = await start({ ...options, dataDir, durability: "none" }, dataDir);
    const stop = async () => {
      await server.stop();
      rmSync(dataDir, { recursive: true, force: true });
    };
    return { ...server, stop };
  } catch (error) {
    rmSync(dataDir, { recursive: true, force: true });
    throw error;
  }
}

async function start(
  options: EmbeddedPostgresOptions,
  temporaryFolder: string | undefined,
): Promise<EmbeddedPostgres> {
  mkdirSync(options.dataDir, { recursive: true, mode: 0o711 });
  const dataDir = realpathSync(options.dataDir);
  const unlock = lockFolder(dataDir);
  try {
    return await startLocked(options, dataDir, temporaryFolder, unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

async function startLocked(
  options: EmbeddedPostgresOptions,
  dataDir: string,
  temporaryFolder: string | undefined,
  unlock: () => void,
): Promise<EmbeddedPostgres> {
  const { logger, durability = "full" } = options;
  const user = options.operatingUser ?? chooseOperatingUser();
  const binaries = provideBinaries(user);
  const folder = join(dataDir, "cluster");

  const leftover = await stopLeftoverServer(folder);
  if (leftover !== undefined)
    logger?.warn(`stopped a PostgreSQL left behind by a killed start (${leftover})`);

  const freshlyCreated = !existsSync(folder);
  const passwordPath = passwordFile(dataDir);
  if (freshlyCreated) {
    // Before the cluster, which appears only when complete: there is never a cluster without its password.
    const generated = randomBytes(24).toString("hex");
    rmSync(passwordPath, { force: true });
    writeFileSync(passwordPath, `${generated}\n`, { mode: 0o600, flag: "wx" });
    logger?.info(`creating a PostgreSQL ${binaries.version} database in ${dataDir}`);
    await createCluster(folder, generated, binaries, user, durability === "full");
  }
  refuseOtherMajor(folder, binaries);
  const password = readFileSync(passwordPath, "utf8").trim();
  const address = addressCluster(folder, user);
  const runsAs = user.kind === "another" ? ` as ${user.name}` : "";

  const server = await startServer({
    binaries,
    user,
    address,
    port: options.port ?? 0,
    durability,
    ...(temporaryFolder === undefined ? {} : { temporaryFolder }),
    onLine: (line) => logger?.debug(line),
    onUnexpectedExit: (reason) => {
      unlock();
      options.onUnexpectedExit?.(reason);
    },
  });
  logger?.info(
    `PostgreSQL ${binaries.version} runs${runsAs} on 127.0.0.1:${server.port}, data in ${dataDir}`,
  );
  const stop = async () => {
    await server.stop();
    unlock();
  };
  const url = `postgres://${superuser}:${password}@127.0.0.1:${server.port}/${databaseName}`;
  return { url, stop, freshlyCreated };
}
