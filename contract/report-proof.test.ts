import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { exportPublicKey, type SigningKey, signJws, thumbprintOf, verifyingKeyFrom } from "./jws.ts";
import {
  failureReasons,
  isPlainReport,
  type Report,
  reportSchema,
  signReport,
  verifyReport,
} from "./report.ts";
import { packReport, unpackReport } from "./report-proof.ts";
import { parseVin } from "./vin.ts";

const vin = parseVin("1M8GDM9AXKP042788");

function makeCar(): { owner: { vin: string; proofKey: string }; key: SigningKey } {
  const { privateKey } = generateKeyPairSync("ed25519");
  const proofKey = exportPublicKey(privateKey);
  return { owner: { vin, proofKey }, key: { kid: thumbprintOf(proofKey), privateKey } };
}
const { owner, key } = makeCar();

const hash = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((it) => Buffer.from(it).toString("base64url"));
const instant = fc
  .date({ min: new Date("2020-01-01"), max: new Date("2200-01-01"), noInvalidDate: true })
  .map((date) => date.toISOString());
const timings = fc.record(
  {
    verifiedMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
    stagedMs: fc.nat({ max: 1e9 }),
    switchedMs: fc.nat({ max: 1e9 }),
    checkedMs: fc.nat({ max: 1e9 }),
  },
  { requiredKeys: ["verifiedMs"] },
);
const version = fc.integer({ min: 1, max: 2_000_000_000 });

const applied: fc.Arbitrary<Report> = fc
  .record({
    version,
    hash,
    appliedAt: instant,
    timings,
    seq: version,
    keySetVersion: fc.nat({ max: 2_000_000_000 }),
    sentAt: instant,
  })
  .map(({ version, hash, appliedAt, timings, seq, keySetVersion, sentAt }) => ({
    vin,
    seq,
    active: { version, hash },
    outcome: { result: "applied", version, hash, appliedAt, timings },
    deferred: null,
    refused: {},
    keySetVersion,
    sentAt,
  }));

const other: fc.Arbitrary<Report> = fc
  .record({
    base: applied,
    reason: fc.constantFrom(...failureReasons),
    detail: fc.string({ unit: "grapheme" }),
  })
  .chain(({ base, reason, detail }) => {
    const { outcome } = base;
    if (outcome === null) throw new Error("an applied report has an outcome");
    const { version, hash, timings } = outcome;
    return fc.constantFrom<Report>(
      { ...base, outcome: null },
      { ...base, deferred: { version, reason: "driving" } },
      { ...base, refused: { badSignature: 3 } },
      { ...base, active: { version: version + 1, hash } },
      {
        ...base,
        outcome: {
          result: "failed",
          version,
          hash,
          reason,
          failureClass: "transient",
          detail: detail.slice(0, 400),
          rolledBack: true,
          timings,
        },
      },
    );
  });

test("a stored report is restored to the letter, and the car's signature still verifies [fault 4]", () => {
  fc.assert(
    fc.property(fc.oneof(applied, other), (report) => {
      const token = signReport(report, key);
      const restored = unpackReport(packReport(token, report, owner), owner);
      expect(restored).toBe(token);
      expect(verifyReport(restored, { vin, key: verifyingKeyFrom(owner.proofKey) })).toEqual({
        kind: "accepted",
        report,
      });
    }),
  );
});

test("the proof of an applied change is kept in a quarter of its text", () => {
  const report: Report = {
    vin,
    seq: 12_345,
    active: { version: 120, hash: Buffer.alloc(32, 7).toString("base64url") },
    outcome: {
      result: "applied",
      version: 120,
      hash: Buffer.alloc(32, 7).toString("base64url"),
      appliedAt: "2026-03-01T08:00:00.000Z",
      timings: { verifiedMs: 1.2, stagedMs: 2.4, switchedMs: 2.6, checkedMs: 3 },
    },
    deferred: null,
    refused: {},
    keySetVersion: 1,
    sentAt: "2026-03-01T08:00:00.012Z",
  };
  const token = signReport(report, key);
  expect(packReport(token, report, owner).length).toBeLessThan(token.length / 4);
});

test("any stored text is restored, also one that no car of ours would write", () => {
  const report = fc.sample(applied, { numRuns: 1, seed: 1 })[0];
  if (report === undefined) throw new Error("no sample");
  const stranger = makeCar();
  const token = signReport(report, key);
  const { sentAt, ...others } = report;
  const reordered = { sentAt, ...others };
  for (const text of [
    "signed.1.x",
    "",
    "a.b.c.d",
    `${token}.`,
    `${token}=`,
    signReport(report, stranger.key),
    signJws("caas-report+jws", reordered, key),
    signJws("caas-report+jws", { ...report, added: 1 }, key),
    signJws("caas-manifest+jws", report, key),
  ])
    expect(unpackReport(packReport(text, report, owner), owner)).toBe(text);
  expect(() => unpackReport(Uint8Array.of(9, 1, 2), owner)).toThrow(/unknown form/);
});

/** A report with something in it changed, removed or added: mostly none any more. */
const damaged = fc
  .record({
    report: fc.oneof(applied, other),
    path: fc.constantFrom(
      ["vin"],
      ["seq"],
      ["active"],
      ["active", "version"],
      ["active", "hash"],
      ["outcome"],
      ["outcome", "result"],
      ["outcome", "version"],
      ["outcome", "hash"],
      ["outcome", "appliedAt"],
      ["outcome", "timings"],
      ["outcome", "timings", "verifiedMs"],
      ["outcome", "timings", "checkedMs"],
      ["deferred"],
      ["refused"],
      ["refused", "badSignature"],
      ["keySetVersion"],
      ["sentAt"],
      ["added"],
    ),
    value: fc.oneof(
      fc.constantFrom<unknown>(
        null,
        undefined,
        0,
        -1,
        1.5,
        2 ** 53,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        "",
        "x".repeat(43),
        "2026-02-30T00:00:00.000Z",
        "2026-02-28T00:00:00Z",
        "2026-02-28T24:00:00.000Z",
        "+012026-02-28T00:00:00.000Z",
        "applied",
        {},
        [],
        { verifiedMs: 1, unknown: 2 },
      ),
      fc.anything(),
    ),
  })
  .map(({ report, path, value }) => {
    const copy: Record<string, unknown> = structuredClone(report);
    let at: unknown = copy;
    for (const name of path.slice(0, -1))
      at = at !== null && typeof at === "object" ? Reflect.get(at, name) : undefined;
    const last = path.at(-1) ?? "";
    if (at !== null && typeof at === "object") {
      if (value === undefined) Reflect.deleteProperty(at, last);
      else Reflect.set(at, last, value);
    }
    return copy;
  });

test("a report accepted by the hand-written check is accepted by the schema", () => {
  let plain = 0;
  fc.assert(
    fc.property(fc.oneof(applied, other, damaged), (value) => {
      if (!isPlainReport(value, vin)) return;
      plain += 1;
      expect(reportSchema.parse(value)).toEqual(value);
    }),
    { numRuns: 3_000 },
  );
  expect(plain, "the short cut is taken at all").toBeGreaterThan(100);
});
