import { chmod, mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emptyManifestHash } from "@caas/contract/manifest.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openJournal } from "../change/journal.ts";
import { createMemoryStorage, openDirectoryStorage } from "./storage.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "caas-storage-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe.each([
  { name: "a folder", open: () => openDirectoryStorage(root) },
  { name: "memory", open: async () => createMemoryStorage() },
])("storage in $name", ({ open }) => {
  test("returns the text written last, and nothing before the first", async () => {
    const storage = await open();
    expect(await storage.read("display/current.json")).toBeNull();
    await storage.write("display/current.json", "first");
    await storage.write("display/current.json", "second");
    expect(await storage.read("display/current.json")).toBe("second");
  });

  test("a journal opens again as it was written", async () => {
    const storage = await open();
    const journal = await openJournal(storage, emptyManifestHash);
    expect(journal.record).toMatchObject({ seq: 0, active: { version: 0, hash: emptyManifestHash } });
    await Promise.all([
      journal.write(({ seq }) => ({ seq: seq + 1 })),
      journal.write(({ connection }) => ({ connection: connection + 1 })),
      journal.write(({ seq }) => ({ seq: seq + 1 })),
    ]);
    const again = await openJournal(storage, emptyManifestHash);
    expect(again.record).toEqual(journal.record);
    expect(again.record).toMatchObject({ seq: 2, connection: 1 });
  });

  test("a damaged journal stops the car rather than letting it guess", async () => {
    const storage = await open();
    await storage.write("journal.json", '{"seq":1}');
    await expect(openJournal(storage, emptyManifestHash)).rejects.toThrow("journal.json was damaged");
    expect([storage.damaged, await storage.read("journal.json")]).toEqual([["journal.json"], null]);
  });
});

test("a failed write leaves the journal unchanged", async () => {
  const storage = createMemoryStorage();
  const journal = await openJournal(storage, emptyManifestHash);
  await journal.write(() => ({ seq: 5 }));
  const write = storage.write;
  storage.write = () => Promise.reject(new Error("the disk is full"));
  await expect(journal.write(() => ({ seq: 6 }))).rejects.toThrow("the disk is full");
  expect(journal.record.seq).toBe(5);
  storage.write = write;
  await journal.write(({ seq }) => ({ seq: seq + 1 }));
  expect(journal.record.seq).toBe(6);
});

test("keys and secrets are for the agent's user only", async () => {
  const storage = await openDirectoryStorage(root);
  await storage.write("keys/tls.pem", "secret");
  await storage.write("identity.json", "secret");
  for (const name of ["keys/tls.pem", "identity.json"])
    expect((await stat(join(root, name))).mode & 0o777).toBe(0o600);
  expect((await stat(join(root, "keys"))).mode & 0o777).toBe(0o700);
});

test("loose permissions of keys and identity are taken back at the start; programs of the car still read the slots [R18]", async () => {
  const storage = await openDirectoryStorage(root);
  await storage.slots.stage("a", new Map([["manifest.json", "{}"]]));
  const own = ["keys/tls.pem", "keys/proof.pem", "identity.json", "journal.json", "display/current.json"];
  for (const name of own) {
    await storage.write(name, "text");
    await chmod(join(root, name), 0o666);
  }
  await chmod(join(root, "keys"), 0o777);
  const again = await openDirectoryStorage(root);
  for (const name of own) expect((await stat(join(root, name))).mode & 0o777).toBe(0o600);
  expect((await stat(join(root, "keys"))).mode & 0o777).toBe(0o700);
  expect((await stat(join(root, "configuration", "slots", "a", "manifest.json"))).mode & 0o044).toBe(0o044);
  expect(await again.read("identity.json")).toBe("text");
});

test.runIf(process.platform === "linux")(
  "a file system that takes no folders is an error, and not a search without end [R18]",
  async () => {
    await expect(openDirectoryStorage("/proc/caas/car")).rejects.toThrow(/ENOENT|EPERM|EACCES/);
  },
);

test("a folder in the place of a text, or of its draft, is set aside by the next write [F3]", async () => {
  const storage = await openDirectoryStorage(root);
  for (const name of ["key-set.jws", "key-set.jws.new"])
    await mkdir(join(root, name, "full"), { recursive: true });
  await storage.write("key-set.jws", "a set");
  expect([await storage.read("key-set.jws"), storage.damaged]).toEqual(["a set", ["key-set.jws"]]);
});
