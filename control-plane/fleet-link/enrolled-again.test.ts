import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type EnrolmentPackage, enrolmentPackageSchema } from "@caas/contract/enrolment.ts";
import { signingKeyFromPem } from "@caas/contract/jws.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { enrol } from "@caas/vehicle-agent/identity/enrol.ts";
import { makeCarKeys } from "@caas/vehicle-agent/identity/keys.ts";
import { createMemoryStorage } from "@caas/vehicle-agent/storage/storage.ts";
import { createFaultyAdapter } from "@caas/vehicle-agent/testing/faulty-adapter.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { openTestAgent, startTestFleet, type TestCar, type TestFleet } from "../testing/fixtures/fleet.ts";
import { type Staff, seedStaff } from "../testing/fixtures/people.ts";

const program = fileURLToPath(new URL("../../vehicle-agent/main.ts", import.meta.url));

let fleet: TestFleet;
let staff: Staff;
let root: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  fleet = await startTestFleet();
  staff = await seedStaff(fleet);
  root = await mkdtemp(join(tmpdir(), "caas-again-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
});
afterAll(async () => {
  await fleet?.close();
  await rm(root, { recursive: true, force: true });
});

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

const urlOf = (vehicleId: string) => `/api/vehicles/${vehicleId}/enrolment-packages`;
const issuedSchema = z.object({ issue: z.int(), package: enrolmentPackageSchema });

const certificatesSchema = z.object({
  revokedAt: z.string().nullable(),
  certificates: z.array(z.object({ revokedAt: z.string().nullable() })),
});

async function issueFor({ vehicleId }: TestCar): Promise<EnrolmentPackage> {
  const answer = await staff.admin.post(urlOf(vehicleId), { reason: "the control unit was replaced" });
  expect(answer.status).toBe(201);
  return issuedSchema.parse(answer.body).package;
}

/** The program of a car, given a package the way the factory gives the first. */
async function runCar(name: string, given: EnrolmentPackage): Promise<ChildProcess> {
  const file = join(root, `${name}.json`);
  await writeFile(file, JSON.stringify(given));
  const child = spawn(process.execPath, [program, "run", "--data", join(root, name), "--package", file], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    env: { PATH: process.env.PATH, LOG_LEVEL: "fatal" },
  });
  children.push(child);
  if (child.stdout === null) throw new Error("the program has no output");
  await once(createInterface({ input: child.stdout }), "line");
  return child;
}

const linkOf = (car: TestCar) =>
  fleet.db
    .selectFrom("vehicle_links")
    .selectAll()
    .where("vehicle_id", "=", car.vehicleId)
    .executeTakeFirstOrThrow();

/** The car holds, by its own signed word, what its newest version says. */
function converged(car: TestCar): Promise<number> {
  return fleet.until("the car holds its newest version", async () => {
    const link = await linkOf(car);
    const holds = link.active_version === link.manifest_version && link.active_hash === link.manifest_hash;
    return holds && link.unproved_version === null ? link.manifest_version : undefined;
  });
}

async function entriesOf(
  car: TestCar,
): Promise<{ code: string; term: { kind: string; validUntil?: string } }[]> {
  const { entries } = await fleet.db
    .selectFrom("manifests")
    .innerJoin("vehicle_links as link", (join) =>
      join
        .onRef("link.vehicle_id", "=", "manifests.vehicle_id")
        .onRef("link.manifest_version", "=", "manifests.version"),
    )
    .where("link.vehicle_id", "=", car.vehicleId)
    .select("entries")
    .executeTakeFirstOrThrow();
  return JSON.parse(JSON.stringify(entries));
}

function tasksOf(car: TestCar) {
  return fleet.db
    .selectFrom("tasks")
    .select(["kind", "team", "title", "detail"])
    .where("vehicle_id", "=", car.vehicleId)
    .execute();
}

const timesIn = (list: readonly string[], id: string) => list.filter((one) => one === id).length;

describe("a car that is enrolled again", () => {
  test("a swapped control unit is given another package and converges to what the car is entitled to, charged once; the former identity ends [F4]", async () => {
    const car = await fleet.addCar();
    const bought = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(bought, "ServiceActive");
    await fleet.runJobs();
    await car.park();
    const before = await linkOf(car);

    await runCar("swapped", await issueFor(car));
    const version = await converged(car);
    expect(version).toBeGreaterThan(before.manifest_version);
    const after = await linkOf(car);
    expect(after.proof_public_key).not.toBe(before.proof_public_key);
    // The broker keeps the presence of the newest connection.
    expect(after.presence_connection).toBeGreaterThan(before.presence_connection);
    expect(await readdir(join(root, "swapped", "configuration", "active"))).toContainEqual(
      expect.stringMatching(/^heatedSeats\./),
    );
    // The term that runs goes on: it does not begin again.
    expect((await entriesOf(car)).map(({ code, term }) => [code, term.kind])).toEqual([
      ["heatedSeats", "until"],
    ]);
    await fleet.runJobs();
    expect([timesIn(fleet.captured(), bought), await fleet.stateOf(bought)]).toEqual([1, "ServiceActive"]);

    const { body } = await staff.admin.get(`/api/vehicles/${car.vehicleId}/certificates`);
    const certificates = certificatesSchema.parse(body);
    expect(certificates.revokedAt).toBeNull();
    expect(certificates.certificates.map(({ revokedAt }) => revokedAt !== null).sort()).toEqual([
      false,
      true,
    ]);
    const steps = await fleet.db
      .selectFrom("steps")
      .select(["event", "actor_kind", "actor_id", "detail"])
      .where("vehicle_id", "=", car.vehicleId)
      .where("event", "in", ["enrolmentPackageIssued", "carEnrolledAgain"])
      .orderBy("id")
      .execute();
    expect(steps).toMatchObject([
      {
        event: "enrolmentPackageIssued",
        actor_kind: "staff",
        actor_id: staff.admin.userId,
        detail: { reason: "the control unit was replaced", issue: 2 },
      },
      { event: "carEnrolledAgain", actor_kind: "vehicle" },
    ]);
  });

  test("what the former control unit still says has no effect, and a person hears of it once [F4]", async () => {
    const car = await fleet.addCar();
    const bought = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(bought, "ServiceActive");
    await car.park();
    const unit = await runCar("former", await issueFor(car));
    await converged(car);
    await kill(unit);
    const known = await linkOf(car);
    await car.drive();
    await fleet.until("it is noticed", async () => ((await tasksOf(car)).length > 0 ? true : undefined));
    await car.park();
    expect(await tasksOf(car)).toMatchObject([
      { kind: "carDoubted", team: "support", detail: { doubt: "otherProofKey" } },
    ]);
    const { report_seq, active_version, active_hash } = await linkOf(car);
    expect({ report_seq, active_version, active_hash }).toEqual({
      report_seq: known.report_seq,
      active_version: known.active_version,
      active_hash: known.active_hash,
    });
  });

  test("a car that lost its journal is given another package in the way of the first, and enrols again with new keys [F4]", async () => {
    const car = await fleet.addCar();
    const bought = await fleet.buy(car, "ambientLight");
    await fleet.waitFor(bought, "ServiceActive");
    await car.park();
    const first = await runCar("forgetful", await issueFor(car));
    await converged(car);
    const { proof_public_key: former } = await linkOf(car);
    await kill(first);
    await rm(join(root, "forgetful", "journal.json"));
    await runCar("forgetful", await issueFor(car));
    await fleet.until("it has new keys", async () =>
      (await linkOf(car)).proof_public_key === former ? undefined : true,
    );
    await converged(car);
    expect((await entriesOf(car)).map(({ code }) => code)).toEqual(["ambientLight"]);
    expect(timesIn(fleet.captured(), bought)).toBe(1);
  });

  test("a car whose identity and journal are gone, and whose keys are not, makes new ones for another package [F4]", async () => {
    const car = await fleet.addCar();
    await fleet.waitFor(await fleet.buy(car, "ambientLight"), "ServiceActive");
    await car.park();
    const first = await runCar("nameless", await issueFor(car));
    await converged(car);
    const { proof_public_key: former } = await linkOf(car);
    await kill(first);
    for (const file of ["journal.json", "identity.json"]) await rm(join(root, "nameless", file));
    await runCar("nameless", await issueFor(car));
    await converged(car);
    expect((await linkOf(car)).proof_public_key).not.toBe(former);
  });

  test("a purchase in flight goes on in the new identity: one attempt, one hold, charged once by the new car's proof [F4]", async () => {
    const car = await fleet.addCar({ online: false });
    const presence = { state: "online", connection: 1 } as const;
    await fleet.db
      .transaction()
      .execute((tx) => fleet.desiredState.recordPresences(tx, [{ vin: parseVin(car.vin), presence }]));
    const bought = await fleet.buy(car, "heatedSeats");
    expect(await fleet.stateOf(bought)).toBe("OTAAttempt");
    await runCar("in-flight", await issueFor(car));
    await fleet.waitFor(bought, "ServiceActive");
    await fleet.runJobs();
    expect(timesIn(fleet.captured(), bought)).toBe(1);
    expect(fleet.voided()).not.toContain(bought);
    const attempts = await fleet.db
      .selectFrom("attempts")
      .select(["attempt", "result", "version"])
      .where("activation_id", "=", bought)
      .execute();
    expect(attempts).toEqual([{ attempt: 1, result: "applied", version: 2 }]);
  });
});

describe("another package", () => {
  const enrolWith = (given: EnrolmentPackage, storage = createMemoryStorage()) =>
    enrol({ package: given, storage, random: () => 0, attempts: 1 });

  test("is for administrators, needs a reason and a car with a VIN [F4]", async () => {
    const car = await fleet.addCar({ online: false });
    const reason = "the control unit was replaced";
    expect((await staff.support.post(urlOf(car.vehicleId), { reason })).status).toBe(403);
    expect((await staff.sales.post(urlOf(car.vehicleId), { reason })).status).toBe(403);
    expect((await staff.admin.post(urlOf(car.vehicleId), {})).status).toBe(400);
    const nameless = await fleet.db
      .insertInto("vehicles")
      .values({ id: "0198d0a2-7c1e-7f3a-9b5c-2f6d8e1a4b70", state: "Ordered", created_at: fleet.clock.now() })
      .returning("id")
      .executeTakeFirstOrThrow();
    const answer = await staff.admin.post(urlOf(nameless.id), { reason });
    expect([answer.status, answer.text("code")]).toEqual([409, "conflict"]);
  });

  test("makes the one before worthless, whether that was used or not [F4]", async () => {
    const car = await fleet.addCar({ online: false });
    const first = await issueFor(car);
    const second = await issueFor(car);
    expect(await enrolWith(first)).toMatchObject({ kind: "refused", status: 403 });
    const storage = createMemoryStorage();
    expect(await enrolWith(second, storage)).toMatchObject({ kind: "enrolled" });
    expect(await enrolWith(second)).toMatchObject({ kind: "refused", status: 403 });
    // Given the older one again, the car stays what it is.
    expect(await enrolWith(first, storage)).toMatchObject({ kind: "refused", status: 403 });
    expect(await enrolWith(second, storage)).toMatchObject({ kind: "enrolled" });
  });

  test("is taken by a car that lost power after each one before, and still has keys that were revoked meanwhile [F4]", async () => {
    const car = await fleet.addCar({ online: false });
    const { tlsKeyPem, proofKeyPem } = makeCarKeys();
    // Each time it comes back with the keys that it made first, and without the answer.
    async function enrolWithoutTheAnswer() {
      const storage = createMemoryStorage();
      await storage.write("keys/tls.pem", tlsKeyPem);
      await storage.write("keys/proof.pem", proofKeyPem);
      return enrolWith(await issueFor(car), storage);
    }
    for (let lost = 0; lost < 4; lost += 1)
      expect(await enrolWithoutTheAnswer()).toMatchObject({ kind: "enrolled" });
  });

  test("is good for thirty days, and not for a car that was revoked after it was issued [F4]", async () => {
    const car = await fleet.addCar({ online: false });
    const late = await issueFor(car);
    expect(Date.parse(late.expiresAt) - fleet.clock.now().getTime()).toBe(30 * 24 * 3_600_000);
    await staff.admin.post(`/api/vehicles/${car.vehicleId}/revocation`, { reason: "reported stolen" });
    expect(await enrolWith(late)).toMatchObject({ kind: "refused", status: 403 });
    // Found again: a package that is issued afterwards is the way back.
    fleet.clock.advanceMs(1);
    expect(await enrolWith(await issueFor(car))).toMatchObject({ kind: "enrolled" });
    const { body } = await staff.admin.get(`/api/vehicles/${car.vehicleId}/certificates`);
    expect(body).toMatchObject({ revokedAt: null });
  });
});

describe("two cars with one identity", () => {
  test("a copied folder is noticed: their counters run against each other, and support hears of it once [R10]", async () => {
    const car = await fleet.addCar();
    const journal = await car.storage.read("journal.json");
    if (journal === null) throw new Error("the car has no journal");
    const storage = createMemoryStorage();
    await storage.write("journal.json", journal);
    const copy = openTestAgent(fleet.context, { ...car, storage, adapter: createFaultyAdapter() });
    await copy.start();
    await fleet.until("it is noticed", async () => ((await tasksOf(car)).length > 0 ? true : undefined));
    await copy.stop();
    expect(await tasksOf(car)).toMatchObject([
      { kind: "carDoubted", team: "support", detail: { doubt: "countersDisagree" } },
    ]);
    const { text } = await fleet.metrics.render();
    expect(
      Number(/caas_cars_doubted_total\{doubt="countersDisagree"\} (\d+)/.exec(text)?.[1]),
    ).toBeGreaterThan(0);
  });

  test("a car that speaks with another proof key is noticed, and what it says has no effect [F4]", async () => {
    const car = await fleet.addCar({ online: false });
    const pem = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const other = openTestAgent(fleet.context, {
      identity: { ...car.identity, proofKey: signingKeyFromPem(pem) },
      storage: createMemoryStorage(),
      adapter: createFaultyAdapter(),
    });
    const connected = once(other, "connected");
    await other.start();
    await connected;
    await fleet.until("it is noticed", async () => ((await tasksOf(car)).length > 0 ? true : undefined));
    await other.stop();
    expect(await tasksOf(car)).toMatchObject([{ kind: "carDoubted", detail: { doubt: "otherProofKey" } }]);
    expect(await linkOf(car)).toMatchObject({ report_seq: 0, active_version: 0 });
  });
});
