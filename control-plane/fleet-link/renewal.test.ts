import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { dayMs } from "@caas/contract/durations.ts";
import { makeEnrolmentRequest } from "@caas/contract/enrolment.ts";
import { verifyingKeyFrom } from "@caas/contract/jws.ts";
import { verifyKeySet } from "@caas/contract/key-set.ts";
import { makeRenewalRequest, type RenewalRequest } from "@caas/contract/renewal.ts";
import { parseVin, type Vin } from "@caas/contract/vin.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { revoke } from "../features/identities/revoke.ts";
import { newId } from "../store/ids.ts";
import { startTestFleet, type TestFleet } from "../testing/fixtures/fleet.ts";

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await startTestFleet();
});
afterAll(() => fleet?.close());

const vins = ["1M8GDM9AXKP042788", "11111111111111111", "5GZCZ43D13S812715", "1HGCM82633A004352"];

function makeKeys() {
  const tls = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const proof = generateKeyPairSync("ed25519");
  return {
    tlsKeyPem: tls.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    tlsPublicKey: tls.publicKey.export({ format: "pem", type: "spki" }).toString(),
    proofKeyPem: proof.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
  };
}
type Keys = ReturnType<typeof makeKeys>;

async function post(url: string, payload: object) {
  const response = await fleet.server.inject({ method: "POST", url, payload });
  return { status: response.statusCode, body: response.json() };
}
const renew = (request: RenewalRequest) => post("/api/certificate-renewals", request);

/** A car that enrolled just now. */
async function enrolledCar(): Promise<{ vehicleId: string; vin: Vin; keys: Keys; first: X509Certificate }> {
  const { context, db } = fleet;
  const [vehicleId, expedienteId] = [newId(), newId()];
  const vin = parseVin(vins.shift() ?? "");
  await db
    .insertInto("vehicles")
    .values({ id: vehicleId, vin, state: "InManufacturing", created_at: context.clock.now() })
    .execute();
  await db
    .transaction()
    .execute((tx) => fleet.enrolment.onVinAssigned(tx, [{ vehicleId, expedienteId, vin }]));
  const { token } = await fleet.enrolment.packageFor(vehicleId);
  const keys = makeKeys();
  const answer = await post(
    "/api/enrolments",
    makeEnrolmentRequest(token, keys.tlsKeyPem, keys.tlsPublicKey, keys.proofKeyPem),
  );
  return { vehicleId, vin, keys, first: new X509Certificate(answer.body.certificate) };
}

const requestOf = (vin: Vin, keys: Keys, at = fleet.clock.now()) => makeRenewalRequest(vin, keys, at);

function revokeNow(vehicleId: string, serialNumber: string | null) {
  const { context, db } = fleet;
  return db
    .transaction()
    .execute((tx) =>
      revoke(context, tx, { vehicleId, serialNumber, reason: "stolen", actor: { kind: "system" } }),
    );
}

describe("a car's next certificate", () => {
  test("comes to a car that slept a year, for a new TLS key, with the key set in force", async () => {
    const { vehicleId, vin, keys, first } = await enrolledCar();
    fleet.clock.advanceMs(365 * dayMs);
    const { clock } = fleet;
    expect(first.validToDate < clock.now()).toBe(true);
    const next = { ...makeKeys(), proofKeyPem: keys.proofKeyPem };
    const { status, body } = await renew(requestOf(vin, next));
    expect(status).toBe(200);
    const certificate = new X509Certificate(body.certificate);
    expect(certificate.subject).toBe(`CN=${vin}`);
    expect(certificate.verify(new X509Certificate(body.brokerCa).publicKey)).toBe(true);
    expect(certificate.publicKey.export({ format: "pem", type: "spki" })).toBe(next.tlsPublicKey);
    const lifeDays = (certificate.validToDate.getTime() - clock.now().getTime()) / dayMs;
    expect(Math.round(lifeDays)).toBe(90);
    expect(verifyKeySet(body.keySet, verifyingKeyFrom(fleet.keyRing.rootPublicKey), 1).kind).toBe("accepted");
    const rows = await fleet.db
      .selectFrom("certificates")
      .select("not_after")
      .where("vehicle_id", "=", vehicleId)
      .orderBy("issued_at")
      .execute();
    expect(rows.map((row) => row.not_after)).toEqual([first.validToDate, certificate.validToDate]);
  });

  test("is the same one for the same request, ten at once included, and another for the next request", async () => {
    const { vin, keys } = await enrolledCar();
    const request = requestOf(vin, keys);
    const answers = await Promise.all(Array.from({ length: 10 }, () => renew(request)));
    const [first] = answers;
    expect(first?.status).toBe(200);
    // Signed once more after a crash: ECDSA makes another signature of the same statement.
    const again = await renew({ ...requestOf(vin, keys), requestedAt: request.requestedAt });
    expect(new Set([...answers, again].map(({ body }) => body.certificate)).size).toBe(1);
    fleet.clock.advanceMs(1);
    expect((await renew(requestOf(vin, keys))).body.certificate).not.toBe(first?.body.certificate);
  });

  test("is refused to a foreign key, a stale request, an unknown car, and a key that is not P-256", async () => {
    const { vin, keys } = await enrolledCar();
    const now = fleet.clock.now().getTime();
    const stranger = makeKeys();
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey;
    const cases: [RenewalRequest, number, string][] = [
      [requestOf(vin, { ...keys, proofKeyPem: stranger.proofKeyPem }), 401, "signatureInvalid"],
      [requestOf(vin, { ...keys, tlsPublicKey: stranger.tlsPublicKey }), 401, "signatureInvalid"],
      [requestOf(parseVin("1HGCM82633A004352"), keys), 401, "signatureInvalid"],
      [{ ...requestOf(vin, keys), requestedAt: new Date(now - 1).toISOString() }, 401, "signatureInvalid"],
      [requestOf(vin, keys, new Date(now - dayMs - 1)), 400, "badRequest"],
      [requestOf(vin, keys, new Date(now + dayMs + 1)), 400, "badRequest"],
      [
        { ...requestOf(vin, keys), tlsPublicKey: rsa.export({ format: "pem", type: "spki" }).toString() },
        400,
        "badRequest",
      ],
    ];
    for (const [request, status, code] of cases) {
      const answer = await renew(request);
      expect([answer.status, answer.body.code]).toEqual([status, code]);
    }
    expect((await renew(requestOf(vin, keys, new Date(now - dayMs)))).status).toBe(200);
  });

  test("is refused for the key of a revoked certificate, and for a revoked car with any key [fault 13]", async () => {
    const { vehicleId, vin, keys, first } = await enrolledCar();
    const asIssued = await fleet.db
      .selectFrom("certificates")
      .select("serial_number")
      .where("vehicle_id", "=", vehicleId)
      .executeTakeFirstOrThrow();
    expect(first.serialNumber.toLowerCase()).toContain(asIssued.serial_number);
    expect((await revokeNow(vehicleId, asIssued.serial_number)).kind).toBe("revoked");
    const refused = await renew(requestOf(vin, keys));
    expect([refused.status, refused.body.code]).toEqual([403, "identityRevoked"]);
    const next = { ...makeKeys(), proofKeyPem: keys.proofKeyPem };
    expect((await renew(requestOf(vin, next))).status).toBe(200);
    await revokeNow(vehicleId, null);
    expect((await renew(requestOf(vin, next))).status).toBe(403);
    const { token } = await fleet.enrolment.packageFor(vehicleId);
    const request = makeEnrolmentRequest(token, keys.tlsKeyPem, keys.tlsPublicKey, keys.proofKeyPem);
    expect((await post("/api/enrolments", request)).status).toBe(403);
  });
});
