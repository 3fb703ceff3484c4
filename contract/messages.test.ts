import { createPublicKey, generateKeyPairSync, randomUUID } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { businessClock, businessClockFrom, formatBusinessTime, parseBusinessTime } from "./business-clock.ts";
import { carPassword, isCarPassword } from "./car-password.ts";
import {
  type EnrolmentRequest,
  enrolmentRequestSchema,
  isEnrolmentProved,
  makeEnrolmentRequest,
} from "./enrolment.ts";
import { exportPublicKey, thumbprintOf, verifyingKeyFrom } from "./jws.ts";
import {
  emptyManifestHash,
  type Manifest,
  type ManifestEntry,
  manifestHash,
  manifestSchema,
  signManifest,
  signManifestWith,
  verifyManifest,
} from "./manifest.ts";
import { presenceSchema } from "./presence.ts";
import { type Report, reportSchema, signReport, verifyReport } from "./report.ts";
import { parseVin } from "./vin.ts";

const vin = parseVin("1M8GDM9AXKP042788");
const otherVin = parseVin("11111111111111111");

function makeKey() {
  const { privateKey } = generateKeyPairSync("ed25519");
  const x = exportPublicKey(privateKey);
  return { kid: thumbprintOf(x), x, privateKey };
}
const key = makeKey();
const car = makeKey();
const keyOf = (kid: string) => (kid === key.kid ? verifyingKeyFrom(key.x) : undefined);

const entry = (changes: Partial<ManifestEntry> = {}): ManifestEntry => ({
  id: randomUUID(),
  code: "plataformaBase",
  configuration: { level: 1 },
  term: { kind: "unlimited" },
  ...changes,
});
const entries = [entry(), entry({ code: "asientos", term: { kind: "duration", seconds: 60 } })];
const manifest: Manifest = {
  vin,
  version: 3,
  hash: manifestHash(entries),
  proofKey: car.kid,
  keySetVersion: 1,
  issuedAt: "2026-03-01T08:00:00.000Z",
  entries,
};

describe("manifests", () => {
  test("entries that are JSON text already are signed as the same manifest", () => {
    const { entries: signed, ...head } = manifest;
    const token = signManifestWith(head, JSON.stringify(signed), key);
    expect(token).toBe(signManifest(manifest, key));
    const spaced = signManifestWith(head, JSON.stringify(signed, null, 1), key);
    expect(verifyManifest(spaced, { vin, proofKey: car.kid, keyOf })).toEqual({ kind: "accepted", manifest });
  });

  test("the hash covers the content: neither order nor delivery matters, everything else does", () => {
    const [first = entry(), second = entry()] = entries;
    const hash = manifestHash(entries);
    expect(manifestHash([second, first])).toBe(hash);
    expect(manifestHash([{ ...first, applyBefore: "2026-03-01T08:00:00.000Z" }, second])).toBe(hash);
    for (const changed of [
      { ...first, id: randomUUID() },
      { ...first, code: "other" },
      { ...first, configuration: { level: 2 } },
      { ...first, term: { kind: "duration" as const, seconds: 1 } },
    ])
      expect(manifestHash([changed, second])).not.toBe(hash);
    expect(manifestHash([first])).not.toBe(hash);
    expect(manifestHash([])).toBe(emptyManifestHash);
  });

  const verify = (token: string) => verifyManifest(token, { vin, proofKey: car.kid, keyOf });

  test("one for this car is taken", () => {
    expect(verify(signManifest(manifest, key))).toEqual({ kind: "accepted", manifest });
  });

  test.each([
    { change: { vin: otherVin }, reason: "otherVehicle" },
    { change: { proofKey: key.kid }, reason: "otherProofKey" },
    { change: { hash: emptyManifestHash }, reason: "wrongHash" },
    { change: { version: 0 }, reason: "invalid" },
    { change: { extra: 1 }, reason: "invalid" },
    { change: { entries: [...entries, ...entries], hash: manifestHash(entries) }, reason: "invalid" },
  ])("signed with $change: $reason", ({ change, reason }) => {
    const changed: Manifest = { ...manifest, ...change };
    expect(verify(signManifest(changed, key))).toEqual({ kind: "refused", reason });
  });

  test("the largest manifest allowed has 256 entries", () => {
    const many = Array.from({ length: 257 }, () => entry());
    expect(manifestSchema.safeParse({ ...manifest, entries: many.slice(1) }).success).toBe(true);
    expect(manifestSchema.safeParse({ ...manifest, entries: many }).success).toBe(false);
  });
});

describe("reports", () => {
  const report: Report = {
    vin,
    seq: 7,
    active: { version: 3, hash: manifest.hash },
    outcome: null,
    deferred: null,
    refused: { "manifest.older": 2 },
    keySetVersion: 1,
    sentAt: "2026-03-01T08:00:00.000Z",
  };
  const expected = { vin, key: verifyingKeyFrom(car.x) };

  test("one signed by the car is taken", () => {
    expect(verifyReport(signReport(report, car), expected)).toEqual({ kind: "accepted", report });
  });

  test("one signed by anyone else, or for another car, is not [fault 8]", () => {
    expect(verifyReport(signReport(report, key), expected)).toEqual({
      kind: "refused",
      reason: "unknownKey",
    });
    const foreign = signReport({ ...report, vin: otherVin }, car);
    expect(verifyReport(foreign, expected)).toEqual({ kind: "refused", reason: "otherVehicle" });
    const impostor = signReport(report, { kid: car.kid, privateKey: key.privateKey });
    expect(verifyReport(impostor, expected)).toEqual({ kind: "refused", reason: "badSignature" });
  });

  const outcome = {
    result: "applied",
    version: 3,
    hash: manifest.hash,
    appliedAt: "2026-03-01T08:00:00.000Z",
    timings: { verifiedMs: 1 },
  } as const;
  test.each<{ is: string; change: object }>([
    { is: "a version of 2147483646", change: { active: { version: 2_147_483_646, hash: manifest.hash } } },
    { is: "a number just above the bound", change: { seq: 2_000_000_001 } },
    { is: "a huge number", change: { seq: Number.MAX_SAFE_INTEGER } },
    { is: "a huge key set", change: { keySetVersion: 2_147_483_648 } },
    { is: "a huge version in its outcome", change: { outcome: { ...outcome, version: 4_000_000_000 } } },
    { is: "a huge version in what waits", change: { deferred: { version: 4e9, reason: "driving" } } },
    { is: "a NUL in a hash", change: { active: { version: 3, hash: `${manifest.hash.slice(1)}\0` } } },
    { is: "a hash of 43 other characters", change: { outcome: { ...outcome, hash: "ñ".repeat(43) } } },
    { is: "a hash one character too long", change: { outcome: { ...outcome, hash: `${manifest.hash}A` } } },
    { is: "an endless time of work", change: { outcome: { ...outcome, timings: { verifiedMs: 1e300 } } } },
    { is: "a huge count of refusals", change: { refused: { "manifest.older": 1e12 } } },
    { is: "a reason of 65 characters", change: { refused: { ["x".repeat(65)]: 1 } } },
    {
      is: "65 reasons",
      change: { refused: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`reason ${at}`, 1])) },
    },
  ])("$is is refused, though it is signed [R6]", ({ change }) => {
    const said: Report = JSON.parse(JSON.stringify({ ...report, outcome, ...change }));
    expect(verifyReport(signReport(said, car), expected)).toEqual({ kind: "refused", reason: "invalid" });
  });

  test("the largest numbers that a car can have reached are taken [R6]", () => {
    const most = 2_000_000_000;
    const said = {
      ...report,
      seq: most,
      keySetVersion: most,
      active: { ...report.active, version: most },
      outcome: { ...outcome, version: most },
    };
    expect(verifyReport(signReport(said, car), expected)).toEqual({ kind: "accepted", report: said });
  });

  test("a connection beyond every count is no presence [R6]", () => {
    const isPresence = (connection: number) =>
      presenceSchema.safeParse({ state: "online", connection }).success;
    expect([isPresence(1), isPresence(2_000_000_000)]).toEqual([true, true]);
    expect([isPresence(0), isPresence(2_000_000_001), isPresence(2 ** 53)]).toEqual([false, false, false]);
  });

  test("unknown fields are refused", () => {
    expect(reportSchema.safeParse({ ...report, price: 0 }).success).toBe(false);
  });
});

describe("enrolment requests", () => {
  const tls = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const proof = generateKeyPairSync("ed25519").privateKey;
  const pem = (exported: string | Buffer) => exported.toString();
  const tlsPublicKey = pem(tls.publicKey.export({ type: "spki", format: "pem" }));
  const request = makeEnrolmentRequest(
    "one-time-token-of-the-factory",
    pem(tls.privateKey.export({ type: "pkcs8", format: "pem" })),
    tlsPublicKey,
    pem(proof.export({ type: "pkcs8", format: "pem" })),
  );
  const prove = (changed: EnrolmentRequest) =>
    isEnrolmentProved(changed, createPublicKey(changed.tlsPublicKey));

  test("both keys sign for each other and for the token", () => {
    expect(enrolmentRequestSchema.parse(request)).toEqual(request);
    expect(prove(request)).toBe(true);
    expect(prove({ ...request, token: "another-token-of-the-factory" })).toBe(false);
    expect(prove({ ...request, proofPublicKey: makeKey().x })).toBe(false);
    const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
    const swapped = pem(stranger.export({ type: "spki", format: "pem" }));
    expect(prove({ ...request, tlsPublicKey: swapped })).toBe(false);
    expect(prove({ ...request, tlsProof: "" })).toBe(false);
    expect(prove({ ...request, proof: "" })).toBe(false);
  });
});

describe("passwords of cars on loopback", () => {
  test("open one car only", () => {
    const password = carPassword("secret", vin);
    expect(isCarPassword("secret", vin, password)).toBe(true);
    expect(isCarPassword("secret", otherVin, password)).toBe(false);
    expect(isCarPassword("other", vin, password)).toBe(false);
    expect(isCarPassword("secret", vin, `${password}x`)).toBe(false);
    expect(isCarPassword("secret", vin, "")).toBe(false);
  });
});

describe("business time", () => {
  test("is written and read without loss", () => {
    fc.assert(
      fc.property(
        fc.nat(4e12),
        fc.nat(4e12),
        fc.double({ min: 0.001, max: 1e6, noNaN: true }),
        (realMs, businessMs, scale) => {
          const anchor = { realMs, businessMs, scale };
          expect(parseBusinessTime(formatBusinessTime(anchor))).toEqual(anchor);
        },
      ),
    );
  });

  test.each([
    "",
    "now",
    "2026-01-01T00:00:00Z/2026-01-01T00:00:00Z",
    "a/b/1",
    "2026-01-01/2026-01-01/0",
    "2026-01-01/2026-01-01/-1",
    "2026-01-01/2026-01-01/Infinity",
    "2026-01-01/2026-01-01/1/1",
  ])("%s is none", (text) => {
    expect(parseBusinessTime(text)).toBeUndefined();
    if (text !== "") expect(() => businessClockFrom(text)).toThrow("CAAS_BUSINESS_TIME");
  });

  test("runs by its scale from its anchor", () => {
    const realMs = Date.parse("2026-01-01T00:00:00.000Z");
    const businessMs = Date.parse("2026-03-01T00:00:00.000Z");
    const real = { now: () => new Date(realMs + 1_000) };
    expect(businessClock({ realMs, businessMs, scale: 3600 }, real).now()).toEqual(
      new Date("2026-03-01T01:00:00.000Z"),
    );
  });
});
