import * as z from "zod";
import { hashJson, type Json } from "./canonical-json.ts";
import {
  type JwsRefusal,
  type SigningKey,
  signJws,
  signJwsText,
  type VerifyingKey,
  verifyJws,
} from "./jws.ts";
import { type Vin, vinSchema } from "./vin.ts";

// The manifest is a car's complete desired configuration: one document, strictly increasing version,
// bound to the VIN and to the proof key of exactly that car.

const jsonObject = z.record(z.string(), z.json());

/** One thing the car shall have: `plataformaBase`, an option of the plan comercial, or a paid service. */
export const manifestEntrySchema = z.strictObject({
  /** The entitlement's id. */
  id: z.uuid(),
  /** What it switches on, as `plataformaBase` or a catalogue code. */
  code: z.string().min(1).max(64),
  /** Given to the car's adapter as it is. */
  configuration: jsonObject,
  /** How long the entry holds; `duration` until the car has said when it applied it. */
  term: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("unlimited") }),
    z.strictObject({ kind: z.literal("duration"), seconds: z.int().min(1) }),
    z.strictObject({ kind: z.literal("until"), validUntil: z.iso.datetime() }),
  ]),
  /** Only on the one unproved change: the car must not commit it later than this. */
  applyBefore: z.iso.datetime().optional(),
});

export type ManifestEntry = z.infer<typeof manifestEntrySchema>;

export const manifestSchema = z.strictObject({
  vin: vinSchema,
  version: z.int().min(1),
  /** `manifestHash` of the entries. */
  hash: z.string().length(43),
  /** Thumbprint of the proof key of the car it is meant for. */
  proofKey: z.string().length(43),
  /** The key set the car must hold to verify this; it asks for it by reporting an older one. */
  keySetVersion: z.int().min(1),
  issuedAt: z.iso.datetime(),
  /** Ids are unique: of two entries with one id the hash would not say which comes first. */
  entries: z
    .array(manifestEntrySchema)
    .max(256)
    .refine((entries) => new Set(entries.map(({ id }) => id)).size === entries.length, "an id stands twice"),
});

export type Manifest = z.infer<typeof manifestSchema>;

/**
 * Content hash of a configuration: of what is switched on and for how long, in id order. `applyBefore` is
 * about the delivery and is left out, so a car and the control plane agree on a state whenever it was proved.
 */
export function manifestHash(entries: readonly ManifestEntry[]): string {
  const content: Json = [...entries]
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ id, code, configuration, term }) => ({ id, code, configuration, term }));
  return hashJson(content);
}

/** Hash of the empty configuration that a car leaves the factory with. */
export const emptyManifestHash = manifestHash([]);

export function signManifest(manifest: Manifest, key: SigningKey): string {
  return signJws("caas-manifest+jws", manifest, key);
}

/** The same manifest whose entries are kept as JSON text: it is not read only to be written again. */
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

/** Verifies signature, shape, addressee and hash; versions and dates are judged by the car's own state. */
export function verifyManifest(
  token: string,
  expected: { vin: Vin; proofKey: string; keyOf: (kid: string) => VerifyingKey | undefined },
): { kind: "accepted"; manifest: Manifest } | { kind: "refused"; reason: ManifestRefusal } {
  const result = verifyJws("caas-manifest+jws", token, expected.keyOf);
  if (result.kind === "refused") return result;
  const parsed = manifestSchema.safeParse(result.payload);
  if (!parsed.success) return { kind: "refused", reason: "invalid" };
  const manifest = parsed.data;
  if (manifest.vin !== expected.vin) return { kind: "refused", reason: "otherVehicle" };
  if (manifest.proofKey !== expected.proofKey) return { kind: "refused", reason: "otherProofKey" };
  if (manifest.hash !== manifestHash(manifest.entries)) return { kind: "refused", reason: "wrongHash" };
  return { kind: "accepted", manifest };
}
