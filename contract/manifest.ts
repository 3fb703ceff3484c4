import { hash } from "node:crypto";
import * as z from "zod";
import { canonicalJson } from "./canonical-json.ts";
import {
  type JwsRefusal,
  type SigningKey,
  signJws,
  signJwsText,
  type VerifyingKey,
  verifyJws,
} from "./jws.ts";
import { hasOnly, isCount, isHash, isInstant, isPlainObject } from "./plain-checks.ts";
import { countSchema, hashSchema } from "./signed-values.ts";
import { isVin, type Vin, vinSchema } from "./vin.ts";

// The manifest is a car's complete desired configuration: one document, strictly increasing version,
// bound to the VIN and to the proof key of exactly that car.

const jsonObject = z.record(z.string(), z.json());

/** One thing the car must have: `plataformaBase`, an option of the plan comercial, or a paid service. */
export const manifestEntrySchema = z.strictObject({
  /** The entitlement's id. */
  id: z.uuid(),
  /** `plataformaBase` or a catalogue code. */
  code: z.string().min(1).max(64),
  /** Passed to the car's adapter as it is. */
  configuration: jsonObject,
  /** How long the entry is in force; `duration` until the car has reported when it applied it. */
  term: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("unlimited") }),
    z.strictObject({ kind: z.literal("duration"), seconds: countSchema(1) }),
    z.strictObject({ kind: z.literal("until"), validUntil: z.iso.datetime() }),
  ]),
  /** Only on the one unproved change: the car must not commit it later than this. */
  applyBefore: z.iso.datetime().optional(),
});

export type ManifestEntry = z.infer<typeof manifestEntrySchema>;

export const manifestSchema = z.strictObject({
  vin: vinSchema,
  version: countSchema(1),
  /** `manifestHash` of the entries. */
  hash: hashSchema,
  /** Thumbprint of the proof key of the addressed car. */
  proofKey: hashSchema,
  /** The key set that the car needs to verify this; it requests it by reporting an older one. */
  keySetVersion: countSchema(1),
  issuedAt: z.iso.datetime(),
  /** Ids are unique: of two entries with one id the hash would not say which comes first. */
  entries: z
    .array(manifestEntrySchema)
    .max(256)
    .refine((entries) => new Set(entries.map(({ id }) => id)).size === entries.length, "an id occurs twice"),
});

export type Manifest = z.infer<typeof manifestSchema>;

/**
 * The canonical JSON of an entry's content and term. `applyBefore` concerns the delivery and is left out, so that a
 * car and the control plane agree on a state regardless of when it was proved.
 */
export function canonicalEntry({ id, code, configuration, term }: ManifestEntry): string {
  return `{"code":${JSON.stringify(code)},"configuration":${canonicalJson(configuration)},"id":${JSON.stringify(id)},"term":${canonicalJson(term)}}`;
}

/** Content hash of a configuration: of its entries' canonical texts, in id order. */
export function manifestHash(entries: readonly ManifestEntry[]): string {
  const texts = [...entries].sort((a, b) => (a.id < b.id ? -1 : 1)).map(canonicalEntry);
  return hash("sha256", `[${texts.join(",")}]`, "base64url");
}

/** Hash of the empty configuration with which a car leaves the factory. */
export const emptyManifestHash = manifestHash([]);

export function signManifest(manifest: Manifest, key: SigningKey): string {
  return signJws("caas-manifest+jws", manifest, key);
}

/** The same manifest with its entries as JSON text, so that they need not be parsed and written again. */
export function signManifestWith(
  head: Omit<Manifest, "entries">,
  entriesJson: string,
  key: SigningKey,
): string {
  return signJwsText(
    "caas-manifest+jws",
    `${JSON.stringify(head).slice(0, -1)},"entries":${entriesJson}}`,
    key,
  );
}

export type ManifestRefusal = JwsRefusal | "invalid" | "otherVehicle" | "otherProofKey" | "wrongHash";

/** Verifies signature, shape, addressee and hash; versions and dates are judged by the car's state. */
export function verifyManifest(
  token: string,
  expected: { vin: Vin; proofKey: string; keyOf: (kid: string) => VerifyingKey | undefined },
): { kind: "accepted"; manifest: Manifest } | { kind: "refused"; reason: ManifestRefusal } {
  const result = verifyJws("caas-manifest+jws", token, expected.keyOf);
  if (result.kind === "refused") return result;
  const manifest = readManifest(result.payload);
  if (manifest === null) return { kind: "refused", reason: "invalid" };
  if (manifest.vin !== expected.vin) return { kind: "refused", reason: "otherVehicle" };
  if (manifest.proofKey !== expected.proofKey) return { kind: "refused", reason: "otherProofKey" };
  if (manifest.hash !== manifestHash(manifest.entries)) return { kind: "refused", reason: "wrongHash" };
  return { kind: "accepted", manifest };
}

function readManifest(value: unknown): Manifest | null {
  if (isPlainManifest(value)) return value;
  const parsed = manifestSchema.safeParse(value);
  return parsed.success ? parsed.data : null;
}

const manifestKeys = Object.keys(manifestSchema.shape);
const entryKeys = Object.keys(manifestEntrySchema.shape);
const requiredEntryKeys = entryKeys.length - 1;
/** As our own ids are written: RFC 9562, any version, small letters. */
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/**
 * Whether the schema would take `value` as it is, answered by hand for a manifest as the control plane writes it.
 * `false` says nothing: the schema decides.
 */
export function isPlainManifest(value: unknown): value is Manifest {
  return (
    hasOnly(value, manifestKeys, manifestKeys.length) &&
    typeof value.vin === "string" &&
    isVin(value.vin) &&
    isCount(value.version, 1) &&
    isHash(value.hash) &&
    isHash(value.proofKey) &&
    isCount(value.keySetVersion, 1) &&
    isInstant(value.issuedAt) &&
    isPlainEntryList(value.entries)
  );
}

function isPlainEntryList(value: unknown): value is ManifestEntry[] {
  if (!Array.isArray(value) || value.length > 256) return false;
  const ids = new Set<string>();
  // Not by `every`, which passes over a hole.
  for (const entry of value) {
    if (!isPlainEntry(entry)) return false;
    ids.add(entry.id);
  }
  return ids.size === value.length;
}

/** As `isPlainManifest`, of one entry. */
export function isPlainEntry(value: unknown): value is ManifestEntry {
  return (
    hasOnly(value, entryKeys, requiredEntryKeys) &&
    typeof value.id === "string" &&
    uuid.test(value.id) &&
    typeof value.code === "string" &&
    value.code.length >= 1 &&
    value.code.length <= 64 &&
    isPlainObject(value.configuration) &&
    isPlainTerm(value.term) &&
    (value.applyBefore === undefined ? !("applyBefore" in value) : isInstant(value.applyBefore))
  );
}

function isPlainTerm(value: unknown): boolean {
  if (hasOnly(value, ["kind"], 1)) return value.kind === "unlimited";
  if (hasOnly(value, ["kind", "seconds"], 2)) return value.kind === "duration" && isCount(value.seconds, 1);
  return hasOnly(value, ["kind", "validUntil"], 2) && value.kind === "until" && isInstant(value.validUntil);
}
