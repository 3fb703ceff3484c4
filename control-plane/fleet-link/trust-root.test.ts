import { execFile } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { realClock } from "@caas/contract/business-clock.ts";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createApp } from "../app.ts";
import { startTestFleet, type TestFleet } from "../testing/fixtures/fleet.ts";
import { openCertificateAuthority } from "./certificate-authority.ts";
import { openKeyRing } from "./key-ring.ts";
import { holdTrustRoot, OtherTrustRoot } from "./trust-root.ts";

const keysProgram = fileURLToPath(new URL("../keys.ts", import.meta.url));

let fleet: TestFleet;
let root: string;
let other: string;

beforeAll(async () => {
  fleet = await startTestFleet();
  root = await mkdtemp(join(tmpdir(), "caas-roots-"));
});
beforeEach(async () => {
  other = await mkdtemp(join(root, "keys-"));
});
afterAll(async () => {
  await fleet?.close();
  await rm(root, { recursive: true, force: true });
});

async function trustOf(folder: string) {
  const { rootPublicKey } = await openKeyRing(folder, realClock);
  const { caCertificate } = await openCertificateAuthority(folder, realClock);
  return { rootPublicKey, caCertificate };
}
const hold = async (folder: string) =>
  holdTrustRoot(fleet.db, await trustOf(folder), { folder, now: fleet.clock.now() });

/** A control plane on the same database, with its keys in `folder`; it is stopped again. */
async function start(folder: string): Promise<void> {
  const config = { ...fleet.config, KEYS_DIR: folder, SEED_DEMO_CATALOG: false };
  const logger = pino({ level: "silent" });
  const app = await createApp(config, {
    ...{ clock: realClock, realClock },
    random: Math.random,
    logger,
    version: "0",
  });
  try {
    await app.start();
  } finally {
    await app.stop();
  }
}

describe("the keys that cars trust", () => {
  test("while no car trusts any, another folder of keys is simply taken", async () => {
    await hold(other);
    await hold(fleet.keysFolder);
    await hold(fleet.keysFolder);
  });

  test("an empty KEYS_DIR on a database with cars does not start: a sentence says what to restore and how to begin anew [R3]", async () => {
    await start(fleet.keysFolder);
    await fleet.addCar({ online: false });
    const refusal = await start(other).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(OtherTrustRoot);
    expect(String(refusal)).toContain(other);
    expect(String(refusal)).toMatch(/Restore the whole folder from its back-up.*caas-keys adopt/);
    // Refused again at the next start, when the folder holds the keys that were made meanwhile.
    await expect(start(other)).rejects.toThrow(OtherTrustRoot);
    await start(fleet.keysFolder);
  });

  test("a folder that has the root and lost the cars' authority does not start [R3]", async () => {
    await fleet.addCar({ online: false });
    await cp(fleet.keysFolder, other, { recursive: true });
    await start(other);
    for (const file of ["car-ca.key", "car-ca.pem"]) await rm(join(other, file));
    await expect(start(other)).rejects.toThrow(OtherTrustRoot);
  });

  test("a database that an earlier version wrote is judged by its newest certificate [R3]", async () => {
    await fleet.addCar({ online: false });
    await fleet.db.deleteFrom("trust_root").execute();
    await expect(hold(other)).rejects.toThrow(OtherTrustRoot);
    await hold(fleet.keysFolder);
  });

  test("a car that the factory built with a package trusts a root, though it has not enrolled [R3]", async () => {
    await fleet.addCar({ online: false });
    await fleet.db.deleteFrom("certificates").execute();
    await fleet.db.updateTable("enrolment_tokens").set({ handed_over_at: fleet.clock.now() }).execute();
    await expect(hold(other)).rejects.toThrow(OtherTrustRoot);
  });

  test("to begin anew is one command, said on purpose [R3]", async () => {
    await expect(hold(other)).rejects.toThrow(OtherTrustRoot);
    await promisify(execFile)(process.execPath, [keysProgram, "adopt"], {
      env: { PATH: process.env.PATH, KEYS_DIR: other, DATABASE_URL: fleet.config.DATABASE_URL },
    });
    await start(other);
    await expect(start(fleet.keysFolder)).rejects.toThrow(OtherTrustRoot);
  });
});
