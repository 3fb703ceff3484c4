import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, sep } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { locateInstall, provideBinaries } from "./binaries.ts";
import { stopLeftoverServer } from "./cluster.ts";
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
  startTemporaryPostgres,
} from "./embedded-postgres.ts";
import { canReach, chooseOperatingUser } from "./operating-user.ts";

const isRoot = process.getuid?.() === 0;
// Making a database cluster takes a second of processor time, and other tests want the processors, too.
vi.setConfig({ testTimeout: 60_000 });

let folder = "";
const running: EmbeddedPostgres[] = [];
beforeEach(() => {
  folder = makeClosedFolder();
});
afterEach(async () => {
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
});

describe("on one data folder, start after start", () => {
  let shared: string;
  beforeAll(async () => {
    shared = join(makeClosedFolder(), "data");
    const server = await start({ dataDir: shared, durability: "full" });
    expect(server.freshlyCreated).toBe(true);
    await query(server.url, "CREATE TABLE kept AS SELECT 7 AS seven");
    expect(await query(server.url, "SHOW fsync")).toEqual([{ fsync: "on" }]);
    await stopAll();
  });
  afterAll(() => rmSync(dirname(shared), { recursive: true, force: true }));

  async function expectKept(server: EmbeddedPostgres): Promise<void> {
    expect(server.freshlyCreated).toBe(false);
    expect(await query(server.url, "SELECT seven FROM kept")).toEqual([{ seven: 7 }]);
  }

  test("a restart keeps the data, and a start meanwhile is refused by the number of the first", async () => {
    const server = await start({ dataDir: shared, durability: "full" });
    await expect(start({ dataDir: shared })).rejects.toThrow(`is in use by process ${process.pid} on `);
    await expectKept(server);
    await server.stop();
    await server.stop();
    expect(existsSync(join(shared, "lock.json"))).toBe(false);
  });

  test("only who has the password comes in, and only from this machine", async () => {
    const server = await start({ dataDir: shared });
    const passwordPath = join(shared, "password");
    expect(statSync(passwordPath).mode & 0o777).toBe(0o600);
    expect(server.url).toContain(readFileSync(passwordPath, "utf8").trim());

    const wrong = new URL(server.url);
    wrong.password = "guessed";
    await expect(query(wrong.href, "SELECT 1")).rejects.toMatchObject({ code: "28P01" });
    const expected = {
      fsync: "off",
      listen_addresses: "127.0.0.1",
      server_encoding: "UTF8",
      unix_socket_directories: "",
    };
    const names = Object.keys(expected).map((name) => `'${name}'`);
    const rows = await query(server.url, `SELECT name, setting FROM pg_settings WHERE name IN (${names})`);
    expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toEqual(expected);
  });

  test("kill -9 of the owner: the server is shut down, and the next start has the data", async () => {
    const owner = spawnOwner(shared);
    const { url } = await owner.started;
    await expect(start({ dataDir: shared })).rejects.toThrow(`is in use by process ${owner.process.pid} on `);
    const server = watchServer(url);
    await server.connected;
    owner.process.kill("SIGKILL");
    await server.ended;
    await expectKept(await start({ dataDir: shared }));
  });

  test("a server left behind on the folder is found and stopped", async () => {
    let report: (reason: string) => void = () => undefined;
    const ended = new Promise<string>((resolve) => {
      report = resolve;
    });
    await start({ dataDir: shared, onUnexpectedExit: report });
    const cluster = join(shared, "cluster");
    const pid = Number.parseInt(readFileSync(join(cluster, "postmaster.pid"), "utf8"), 10);
    expect(await stopLeftoverServer(cluster)).toBe(pid);
    expect(await ended).toContain("PostgreSQL ended with code 0");
    expect(await stopLeftoverServer(cluster)).toBeUndefined();
    await expectKept(await start({ dataDir: shared }));
  });

  test("a postmaster.pid that names somebody else's live process does not stop a start", async () => {
    writeFileSync(join(shared, "cluster/postmaster.pid"), `${process.pid}\n${shared}\n`);
    await expectKept(await start({ dataDir: shared }));
  });

  test("a port in use is named in the refusal, with the server's own words", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    const address = holder.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    await expect(start({ dataDir: shared, port: address.port })).rejects.toThrow(
      new RegExp(`did not start on port ${address.port}:[^]*Address already in use`),
    );
    holder.close();
    await expectKept(await start({ dataDir: shared }));
  });
});

test("as root it runs as another account below a folder closed to that account", async (context) => {
  if (!isRoot) return context.skip("we are not root: PostgreSQL runs as ourselves");
  const user = chooseOperatingUser(["no-such-account", "nobody"]);
  expect(canReach(user, folder)).toBe(false);
  const first = await start({ operatingUser: user });
  if (user.kind !== "another") throw new Error("as root, another account is used");
  expect(statSync(join(folder, "data/cluster")).uid).toBe(user.uid);
  await query(first.url, "CREATE TABLE kept AS SELECT 7 AS seven");
  await first.stop();
  const second = await start({ operatingUser: user });
  expect(await query(second.url, "SELECT seven FROM kept")).toEqual([{ seven: 7 }]);
});

test("as root without a usable account it says what to do", (context) => {
  if (!isRoot) return context.skip("we are not root: PostgreSQL runs as ourselves");
  expect(() => chooseOperatingUser(["no-such-account"])).toThrow("run as a plain user");
});

test("programs the account cannot reach are copied to where it can, with the links npm left out", (context) => {
  if (!isRoot) return context.skip("we are not root: PostgreSQL runs as ourselves");
  const installed = locateInstall();
  const native = join(folder, "native");
  const isLink = (path: string) => lstatSync(path).isSymbolicLink();
  cpSync(installed.native, native, {
    recursive: true,
    filter: (path) => !isLink(path) && !path.endsWith(".a"),
  });
  const version = `test-${process.pid}`;
  const user = chooseOperatingUser();
  const binaries = provideBinaries(user, { native, version });
  const cache = binaries.postgres.split(`${sep}native${sep}`)[0] ?? "";
  try {
    expect(cache.startsWith(folder)).toBe(false);
    expect(cache).toContain(version);
    expect(canReach(user, binaries.postgres)).toBe(true);
    expect(isLink(join(cache, "native/lib/libpq.so.5"))).toBe(true);
    const copiedAt = statSync(cache).ctimeMs;
    expect(provideBinaries(user, { native, version })).toEqual(binaries);
    expect(statSync(cache).ctimeMs).toBe(copiedAt);

    chmodSync(cache, 0o777);
    expect(() => provideBinaries(user, { native, version })).toThrow("only this user can write to");
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
});

test("as a plain user it runs as that user", async (context) => {
  if (!isRoot) return context.skip("the other tests here run as a plain user already");
  const nobody = chooseOperatingUser(["nobody"]);
  if (nobody.kind !== "another") throw new Error("as root, another account is used");
  if (!canReach(nobody, import.meta.dirname)) return context.skip("this checkout is closed to nobody");
  const plainFolder = mkdtempSync(join(tmpdir(), "caas-plain-"));
  chmodSync(plainFolder, 0o777);
  try {
    const owner = spawnOwner(join(plainFolder, "data"), { uid: nobody.uid, gid: nobody.gid });
    const { url } = await owner.started;
    expect(await query(url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    expect(statSync(join(plainFolder, "data/cluster")).uid).toBe(nobody.uid);
    const gone = once(owner.process, "exit");
    owner.process.kill("SIGTERM");
    await gone;
  } finally {
    rmSync(plainFolder, { recursive: true, force: true });
  }
});

test("a first start that was interrupted half-way is begun again", async () => {
  const draft = join(folder, "data/cluster.draft");
  mkdirSync(draft, { recursive: true });
  writeFileSync(join(draft, "PG_VERSION"), "18\n");
  const server = await start();
  expect(server.freshlyCreated).toBe(true);
  expect(existsSync(draft)).toBe(false);
});

test("data of another major version is refused, not touched", async () => {
  const cluster = join(folder, "data/cluster");
  mkdirSync(cluster, { recursive: true });
  writeFileSync(join(cluster, "PG_VERSION"), "17\n");
  await expect(start()).rejects.toThrow("belongs to PostgreSQL 17");
  expect(readdirSync(dirname(cluster))).toEqual(["cluster"]);
});

test("a temporary server leaves nothing behind", async () => {
  const said: string[] = [];
  const info = (message: string) => said.push(message);
  const server = await startTemporaryPostgres({ logger: { debug: () => undefined, info, warn: info } });
  const dataDir = /data in (.+)$/.exec(said.at(-1) ?? "")?.[1] ?? "";
  expect(existsSync(join(dataDir, "cluster"))).toBe(true);
  expect(await query(server.url, "SHOW fsync")).toEqual([{ fsync: "off" }]);
  await server.stop();
  expect(existsSync(dataDir)).toBe(false);
  await expect(query(server.url, "SELECT 1")).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

/** As mkdtemp makes it, 0700: as root, everything below is closed to the account PostgreSQL runs as. */
function makeClosedFolder(): string {
  return realpathSync(mkdtempSync(join(tmpdir(), "caas-embedded-")));
}

async function start(options: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({
    dataDir: join(folder, "data"),
    durability: "none",
    ...options,
  });
  running.push(server);
  return server;
}

async function stopAll(): Promise<void> {
  for (const server of running.splice(0)) await server.stop();
}

async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

/** Another process that starts the server on `dataDir` and then waits for SIGTERM. */
function spawnOwner(dataDir: string, identity: { uid?: number; gid?: number } = {}) {
  const source = `
    const { startEmbeddedPostgres } = await import(${JSON.stringify(new URL("./embedded-postgres.ts", import.meta.url).href)});
    const server = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, durability: "none" });
    console.log(JSON.stringify({ url: server.url }));
    process.once("SIGTERM", () => server.stop().then(() => process.exit()));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", source], {
    ...identity,
    cwd: "/",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout });
  const started = once(lines, "line").then(([line]): { url: string } => JSON.parse(String(line)));
  return { process: child, started };
}

/** An open session, which ends when the server shuts down. */
function watchServer(url: string) {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  const ended = new Promise<void>((resolve) => client.on("end", () => resolve()));
  return { connected: client.connect(), ended };
}
