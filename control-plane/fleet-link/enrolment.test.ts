import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { dayMs } from "@caas/contract/durations.ts";
import { type EnrolmentRequest, makeEnrolmentRequest } from "@caas/contract/enrolment.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "../store/ids.ts";
import { startTestFleet, type TestFleet } from "../testing/fixtures/fleet.ts";

let fleet: TestFleet;

beforeAll(async () => {
  fleet = await startTestFleet();
});
afterAll(async () => {
  await fleet?.close();
});

function makeKeys() {
  const tls = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const proof = generateKeyPairSync("ed25519");
  return {
    tls: tls.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    tlsPublic: tls.publicKey.export({ format: "pem", type: "spki" }).toString(),
    proof: proof.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
  };
}

type Keys = ReturnType<typeof makeKeys>;

function requestWith(token: string, keys: Keys): EnrolmentRequest {
  return makeEnrolmentRequest(token, keys.tls, keys.tlsPublic, keys.proof);
}

async function send(request: object) {
  const response = await fleet.server.inject({
    method: "POST",
    url: "/api/enrolments",
    payload: request,
  });
  return { status: response.statusCode, body: response.json() };
}

/** A car whose VIN was just assigned: it has an unused token. */
async function newCar() {
  const { context, db } = fleet;
  const [vehicleId, expedienteId] = [newId(), newId()];
  const vin = nextVin();
  await db
    .insertInto("vehicles")
    .values({ id: vehicleId, vin, state: "InManufacturing", created_at: context.clock.now() })
    .execute();
  await db
    .transaction()
    .execute((tx) => fleet.enrolment.onVinAssigned(tx, [{ vehicleId, expedienteId, vin }]));
  return { vehicleId, vin, token: (await fleet.enrolment.packageFor(vehicleId)).token };
}

const vins = [
  "VSSZZZ5FZJR000001", // European: no check digit [F1]
  "1M8GDM9AXKP042788",
  "11111111111111111",
  "5GZCZ43D13S812715",
  "1HGCM82633A004352",
  "JH4KA7561PC008269",
];
function nextVin(): string {
  const vin = vins.shift();
  if (vin === undefined) throw new Error("no VIN is left for this test");
  return vin;
}

describe("a car's enrolment", () => {
  test("issues a certificate for its VIN, and the same one again for the same token and keys", async () => {
    const { vin, token } = await newCar();
    const keys = makeKeys();
    const first = await send(requestWith(token, keys));
    expect(first.status).toBe(200);
    expect(new X509Certificate(first.body.certificate).subject).toBe(`CN=${vin}`);
    const again = await send(requestWith(token, keys));
    expect(again.body.certificate).toBe(first.body.certificate);
  });

  test("refuses a used token with any other key, and changes nothing", async () => {
    const { vehicleId, token } = await newCar();
    const keys = makeKeys();
    await send(requestWith(token, keys));
    const before = await fleet.db
      .selectFrom("enrolment_tokens")
      .selectAll()
      .where("vehicle_id", "=", vehicleId)
      .executeTakeFirst();
    const thief = await send(requestWith(token, makeKeys()));
    expect([thief.status, thief.body.code]).toEqual([403, "tokenInvalid"]);
    const halfThief = await send(
      requestWith(token, { ...makeKeys(), tls: keys.tls, tlsPublic: keys.tlsPublic }),
    );
    expect(halfThief.status).toBe(403);
    const after = await fleet.db
      .selectFrom("enrolment_tokens")
      .selectAll()
      .where("vehicle_id", "=", vehicleId)
      .executeTakeFirst();
    expect(after).toEqual(before);
  });

  test("of 20 parallel requests with different keys, one key wins", async () => {
    const { token } = await newCar();
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(requestWith(token, makeKeys()))));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 403)).toHaveLength(19);
  });

  test("refuses an unknown token, an expired one, a foreign signature and a key that is not P-256", async () => {
    const { token } = await newCar();
    const keys = makeKeys();
    const unknown = await send(requestWith("x".repeat(43), keys));
    expect([unknown.status, unknown.body.code]).toEqual([403, "tokenInvalid"]);

    const forged = await send({ ...requestWith(token, keys), proof: requestWith(token, makeKeys()).proof });
    expect([forged.status, forged.body.code]).toEqual([401, "signatureInvalid"]);

    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const wrongKey = await send({
      ...requestWith(token, keys),
      tlsPublicKey: rsa.publicKey.export({ format: "pem", type: "spki" }).toString(),
    });
    expect([wrongKey.status, wrongKey.body.errors[0].field]).toEqual([400, "body.tlsPublicKey"]);

    fleet.clock.advanceMs(181 * dayMs);
    const late = await send(requestWith(token, keys));
    expect([late.status, late.body.code]).toEqual([403, "tokenInvalid"]);
  });

  test("refuses with 400 and its field what is no public key: junk, a second spelling, a private key, a certificate, a NUL [R8]", async () => {
    const { token } = await newCar();
    const keys = makeKeys();
    const request = requestWith(token, keys);
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const last = request.proofPublicKey.at(-1) ?? "";
    // 256 bits leave two of the last character's six unused.
    const second = request.proofPublicKey.slice(0, -1) + alphabet.charAt(alphabet.indexOf(last) + 1);
    const { certificate } = (await send(request)).body;
    for (const [name, value] of [
      ["proofPublicKey", "x".repeat(43)],
      ["proofPublicKey", "*".repeat(43)],
      ["proofPublicKey", second],
      ["tlsPublicKey", keys.tls],
      ["tlsPublicKey", certificate],
      ["tlsPublicKey", "-----BEGIN PUBLIC KEY-----\nbm9uc2Vuc2U=\n-----END PUBLIC KEY-----\n"],
      ["tlsPublicKey", "\u0000"],
      ["token", `${"x".repeat(30)}\u0000`],
    ] as const) {
      const answer = await send({ ...request, [name]: value });
      expect([name, value, answer.status, answer.body.errors?.[0].field]).toEqual([
        name,
        value,
        400,
        `body.${name}`,
      ]);
    }
    expect((await send(request)).status).toBe(200);
  });

  test("names the field of a malformed request", async () => {
    const answer = await send({ token: "short", extra: 1 });
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map((error: { field: string }) => error.field)).toContain("body.token");
  });
});
