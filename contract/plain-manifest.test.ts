import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalJson, hashJson } from "./canonical-json.ts";
import {
  canonicalEntry,
  isPlainEntry,
  isPlainManifest,
  type Manifest,
  manifestEntrySchema,
  manifestHash,
  manifestSchema,
} from "./manifest.ts";
import { isInstant, largestCount } from "./plain-checks.ts";
import { parseVin } from "./vin.ts";

// The hand-written check may accept only values that the schema accepts, with the same result; the schema judges
// everything it does not accept. So both together accept exactly what the schema accepts.

const vin = parseVin("1M8GDM9AXKP042788");
const count = fc.integer({ min: 1, max: largestCount });
const hash = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString("base64url"));
const instant = fc
  .date({ min: new Date("2000-01-01"), max: new Date("2400-01-01"), noInvalidDate: true })
  .map((date) => date.toISOString());
const term = fc.oneof(
  fc.constant({ kind: "unlimited" as const }),
  count.map((seconds) => ({ kind: "duration" as const, seconds })),
  instant.map((validUntil) => ({ kind: "until" as const, validUntil })),
);
/** As off a wire, where names may be anything at all. */
const names = fc.oneof(
  fc.string(),
  fc.constantFrom("constructor", "__proto__", "toString", "hasOwnProperty", "length", "toJSON", "a"),
);
const json = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.dictionary(names, fc.jsonValue({ maxDepth: 1 }), { maxKeys: 3 }),
);
const configuration = fc
  .dictionary(names, json, { maxKeys: 3 })
  .map((value): Record<string, ReturnType<typeof JSON.parse>> => JSON.parse(JSON.stringify(value)));
const entry = fc
  .record(
    {
      id: fc.uuid(),
      code: fc.string({ minLength: 1, maxLength: 64 }),
      configuration,
      term,
      applyBefore: instant,
    },
    { requiredKeys: ["id", "code", "configuration", "term"] },
  )
  // An object as `JSON.parse` makes it.
  .map((value): Manifest["entries"][number] => JSON.parse(JSON.stringify(value)));
const manifest: fc.Arbitrary<Manifest> = fc
  .record({
    version: count,
    hash,
    proofKey: hash,
    keySetVersion: count,
    issuedAt: instant,
    entries: fc.array(entry, { maxLength: 3 }),
  })
  .map((fields) => ({ vin, ...fields }));

const strange = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    undefined,
    0,
    -1,
    0.5,
    2 ** 53,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    "",
    "x".repeat(43),
    "x".repeat(65),
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "0196AEC0-7F1B-7C3A-8000-000000000001",
    "2026-02-29T00:00:00.000Z",
    "2024-02-29T00:00:00.000Z",
    "2026-04-31T00:00:00.000Z",
    "2026-02-28T00:00:00Z",
    "2026-02-28T24:00:00.000Z",
    "2026-02-00T00:00:00.000Z",
    "+012026-02-28T00:00:00.000Z",
    {},
    [],
    { kind: "unlimited" },
    { kind: "unlimited", seconds: 1 },
    { kind: "duration" },
    { kind: "duration", seconds: 0 },
    { kind: "until", validUntil: "soon" },
    new Map(),
    new Date(0),
    JSON.parse('{"__proto__": 1}'),
    JSON.parse('{"constructor": {"prototype": 1}}'),
  ),
  fc.anything(),
);
const paths = [
  ["vin"],
  ["version"],
  ["hash"],
  ["proofKey"],
  ["keySetVersion"],
  ["issuedAt"],
  ["entries"],
  ["added"],
  ["entries", "0"],
  ["entries", "1"],
  ["entries", "0", "id"],
  ["entries", "0", "code"],
  ["entries", "0", "configuration"],
  ["entries", "0", "configuration", "a"],
  ["entries", "0", "term"],
  ["entries", "0", "term", "kind"],
  ["entries", "0", "term", "seconds"],
  ["entries", "0", "applyBefore"],
  ["entries", "0", "added"],
] as const;
/** A manifest with something in it changed, removed or added: mostly none any more. */
const damaged = fc
  .record({ manifest, path: fc.constantFrom(...paths), value: strange })
  .map(({ manifest: whole, path, value }): unknown => {
    const copy: unknown = structuredClone(whole);
    let at = copy;
    for (const name of path.slice(0, -1)) at = isObject(at) ? Reflect.get(at, name) : undefined;
    const last = path.at(-1) ?? "";
    if (!isObject(at)) return copy;
    if (value === undefined) Reflect.deleteProperty(at, last);
    else Reflect.set(at, last, value);
    return copy;
  });

function isObject(value: unknown): value is object {
  return value !== null && typeof value === "object";
}

test("a manifest accepted by the hand-written check is accepted by the schema, with the same value", () => {
  let plain = 0;
  fc.assert(
    fc.property(fc.oneof(manifest, damaged, damaged), (value) => {
      if (!isPlainManifest(value)) return;
      plain += 1;
      const judged = manifestSchema.safeParse(value);
      expect(judged.success).toBe(true);
      expect(JSON.stringify(judged.data)).toBe(JSON.stringify(value));
    }),
    { numRuns: 1_000 },
  );
  expect(plain, "the short cut is taken at all").toBeGreaterThan(50);
});

test("every manifest as the control plane writes it takes the short cut", () => {
  const ordinary = manifest.filter(
    ({ entries }) => !/"(?:__proto__|constructor)":/.test(JSON.stringify(entries)),
  );
  fc.assert(
    fc.property(ordinary, (value) => {
      expect(isPlainManifest(value)).toBe(true);
    }),
  );
});

test("an entry accepted by the hand-written check is accepted by the schema", () => {
  fc.assert(
    fc.property(fc.oneof(entry, strange), (value) => {
      if (isPlainEntry(value))
        expect(JSON.stringify(manifestEntrySchema.parse(value))).toBe(JSON.stringify(value));
    }),
    { numRuns: 1_000 },
  );
});

test("an entry's text, and the hash over all of them, are canonical JSON", () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 3 }), (entries) => {
      const contents = entries.map(({ id, code, configuration: settings, term: lasts }) => ({
        id,
        code,
        configuration: settings,
        term: lasts,
      }));
      expect(entries.map(canonicalEntry)).toEqual(contents.map((content) => canonicalJson(content)));
      expect(manifestHash(entries)).toBe(hashJson(contents.sort((a, b) => (a.id < b.id ? -1 : 1))));
    }),
  );
});

test("an instant has JavaScript's own form", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        instant,
        fc.tuple(instant, fc.nat(23), fc.constantFrom(..."0123456789-:.TZ ")).map(([text, at, character]) => {
          return `${text.slice(0, at)}${character}${text.slice(at + 1)}`;
        }),
      ),
      (text) => {
        const ms = Date.parse(text);
        expect(isInstant(text)).toBe(Number.isFinite(ms) && new Date(ms).toISOString() === text);
      },
    ),
    { numRuns: 2_000 },
  );
});
