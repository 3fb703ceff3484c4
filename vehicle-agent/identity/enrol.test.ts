import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openDirectoryStorage } from "../storage/storage.ts";
import { startTestEnrolment, type TestEnrolment } from "../testing/test-enrolment.ts";
import { createTestSigner, makeSigningKey, otherVin, testVin } from "../testing/test-signer.ts";
import { enrol } from "./enrol.ts";
import { loadIdentity } from "./identity.ts";
import { ensureCarKeys } from "./keys.ts";

let root: string;
let enrolment: TestEnrolment;
const signer = createTestSigner();
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "caas-enrol-"));
  enrolment = await startTestEnrolment(testVin, signer, "mqtt://127.0.0.1:1883");
});
afterEach(async () => {
  await enrolment.close();
  await rm(root, { recursive: true, force: true });
});

const options = async (changes: { folder?: string; attempts?: number } = {}) => ({
  package: enrolment.package,
  storage: await openDirectoryStorage(join(root, changes.folder ?? "car")),
  random: () => 0,
  attempts: changes.attempts ?? 3,
});

async function enrolled(): Promise<NonNullable<Awaited<ReturnType<typeof loadIdentity>>>> {
  const result = await enrol(await options());
  if (result.kind !== "enrolled") throw new Error(JSON.stringify(result));
  return result.identity;
}

describe("enrolment of a car [SY9]", () => {
  test("trades the token for a certificate of the key that the car made and kept", async () => {
    const identity = await enrolled();
    const certificate = new X509Certificate(identity.certificate);
    expect(certificate.subject).toBe(`CN=${testVin}`);
    expect(identity).toMatchObject({ vin: testVin, broker: { username: testVin } });
    expect(identity.proofKey.kid).toBe(enrolment.proofKey().kid);
    expect(await readFile(join(root, "car", "keys", "tls.pem"), "utf8")).toBe(identity.tlsKeyPem);
  });

  test("run again, it sends nothing and keeps its identity", async () => {
    const first = await enrolled();
    const second = await enrolled();
    expect(second.certificate).toBe(first.certificate);
    expect(second.proofKey.kid).toBe(first.proofKey.kid);
    expect(enrolment.requests).toBe(1);
  });

  test("a lost proof key, and power lost before another was enrolled: the old identity is not taken with the new key [F3]", async () => {
    await enrolled();
    await rm(join(root, "car", "keys", "proof.pem"));
    const storage = await openDirectoryStorage(join(root, "car"));
    expect(await loadIdentity(storage)).toBeNull();
    await ensureCarKeys(storage);
    expect(await loadIdentity(await openDirectoryStorage(join(root, "car")))).toBeNull();
  });

  test("power lost after the answer and before it was stored: same token and key, same certificate", async () => {
    const first = await enrolled();
    await rm(join(root, "car", "identity.json"));
    const second = await enrolled();
    expect(enrolment.requests).toBe(2);
    expect(second.certificate).toBe(first.certificate);
    expect(second.proofKey.kid).toBe(first.proofKey.kid);
  });

  test("power lost between the two keys: the first is kept", async () => {
    const first = await enrolled();
    await rm(join(root, "car", "identity.json"));
    await rm(join(root, "car", "keys", "proof.pem"));
    const result = await enrol(await options());
    expect(result).toMatchObject({ kind: "refused", status: 409 });
    expect(await readFile(join(root, "car", "keys", "tls.pem"), "utf8")).toBe(first.tlsKeyPem);
  });

  test("the token does not enrol a second car", async () => {
    await enrolled();
    expect(await enrol(await options({ folder: "thief" }))).toEqual({
      kind: "refused",
      status: 409,
      detail: "the token was used with another key",
    });
    expect(await loadIdentity(await openDirectoryStorage(join(root, "thief")))).toBeNull();
  });

  test("a control plane that is briefly away or overloaded is asked again", async () => {
    enrolment.failNext(503, 429);
    await enrolled();
    expect(enrolment.requests).toBe(3);
  });

  test("one that stays away leaves the car unchanged, and enrolment can run again", async () => {
    enrolment.failNext(503, 502, 500);
    expect(await enrol(await options())).toMatchObject({ kind: "unreachable" });
    await enrolled();
  });

  test("a refused request is not repeated", async () => {
    enrolment.failNext(403);
    expect(await enrol(await options())).toEqual({
      kind: "refused",
      status: 403,
      detail: "as the test wished",
    });
    expect(enrolment.requests).toBe(1);
  });

  test("a folder that belongs to one car is not enrolled as another", async () => {
    await enrolled();
    const other = { ...(await options()), package: { ...enrolment.package, vin: otherVin } };
    expect(await enrol(other)).toEqual({
      kind: "otherCar",
      detail: `the folder is enrolled as ${testVin}, and the package is for ${otherVin}`,
    });
    expect(enrolment.requests).toBe(1);
  });

  test.each<{ attack: string; tamper: (forger: TestEnrolment) => TestEnrolment["tamper"]; detail: string }>([
    {
      attack: "another car's answer",
      tamper: () => (response) => ({ ...response, vin: otherVin }),
      detail: `the answer is for ${otherVin}`,
    },
    {
      attack: "a key set that the pinned root did not sign",
      tamper: () => (response) => ({ ...response, keySet: createTestSigner().keySet(1) }),
      detail: "the key set is untrusted under the pinned root",
    },
  ])("$attack is not believed", async ({ tamper, detail }) => {
    enrolment.tamper = tamper(enrolment);
    expect(await enrol(await options({ attempts: 1 }))).toEqual({ kind: "unreachable", detail });
    expect(await loadIdentity(await openDirectoryStorage(join(root, "car")))).toBeNull();
  });

  test("a certificate for another key is not accepted", async () => {
    const thiefs = await enrol(await options({ folder: "thief" }));
    if (thiefs.kind !== "enrolled") throw new Error("not enrolled");
    const fresh = await startTestEnrolment(testVin, signer, "mqtt://127.0.0.1:1883");
    fresh.tamper = (response) => ({ ...response, certificate: thiefs.identity.certificate });
    const result = await enrol({ ...(await options({ attempts: 1 })), package: fresh.package });
    await fresh.close();
    expect(result).toEqual({ kind: "unreachable", detail: "the certificate is for another key" });
  });

  test("a package with another root believes none of it", async () => {
    const given = { ...enrolment.package, rootPublicKey: makeSigningKey().x };
    expect(await enrol({ ...(await options({ attempts: 1 })), package: given })).toMatchObject({
      kind: "unreachable",
    });
  });
});
