import { enrolmentResponseSchema } from "@caas/contract/enrolment.ts";
import { type SigningKey, signingKeyFromPem } from "@caas/contract/jws.ts";
import { type Vin, vinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import type { AgentStorage } from "../storage/storage.ts";

/** The agent's identity and the key it trusts. */
export type AgentIdentity = {
  vin: Vin;
  /** Signs reports; its `kid` is what manifests are bound to. */
  proofKey: SigningKey;
  /** Raw Ed25519 key (base64url) pinned at the factory: only key sets signed by it are trusted. */
  rootPublicKey: string;
};

const storedIdentitySchema = z.strictObject({
  vin: vinSchema,
  rootPublicKey: z.string().length(43),
  controlPlaneUrl: z.url(),
  certificate: z.string(),
  brokerCa: z.string(),
  broker: enrolmentResponseSchema.shape.broker,
  /** Of the enrolment package that it came from, by `markOfPackage`. Older identities do not have it. */
  package: z.string().optional(),
});
export type StoredIdentity = z.infer<typeof storedIdentitySchema>;

const linkCredentialSchema = z.strictObject({
  /** Leaf certificate, its key (PKCS#8) and the CA of the broker, PEM. */
  certificate: z.string(),
  tlsKeyPem: z.string(),
  brokerCa: z.string(),
});
/** The credential of a car's connection. */
export type LinkCredential = z.infer<typeof linkCredentialSchema>;

const linkCredentialsSchema = z.strictObject({
  present: linkCredentialSchema,
  /** Kept until a broker has accepted the present one. */
  former: linkCredentialSchema.nullable(),
});
type LinkCredentials = z.infer<typeof linkCredentialsSchema>;

/** An enrolled car: identity and credential; `certificate`, `tlsKeyPem`, `brokerCa` are `link.present`. */
export type CarIdentity = AgentIdentity & StoredIdentity & { tlsKeyPem: string; link: LinkCredentials };

const fileName = "identity.json";
/** Since the first renewal: certificate and key in one file, so that they always belong together. */
const linkFileName = "keys/link.json";

/** Holds the newest accepted key set (compact JWS); enrolment and bulk enrolment store the first. */
export const keySetFileName = "key-set.jws";

export async function saveIdentity(storage: AgentStorage, identity: StoredIdentity): Promise<void> {
  await storage.write(fileName, JSON.stringify(storedIdentitySchema.parse(identity)));
}

export async function saveLinkCredentials(storage: AgentStorage, link: LinkCredentials): Promise<void> {
  await storage.write(linkFileName, JSON.stringify(linkCredentialsSchema.parse(link)));
}

/** The identity of an enrolled car; `null` before its enrolment has ended. */
export async function loadIdentity(storage: AgentStorage): Promise<CarIdentity | null> {
  const text = await storage.read(fileName);
  const tlsKeyPem = await storage.read("keys/tls.pem");
  const proofKeyPem = await storage.read("keys/proof.pem");
  if (text === null || tlsKeyPem === null || proofKeyPem === null) return null;
  const stored = storedIdentitySchema.parse(JSON.parse(text));
  const renewed = await storage.read(linkFileName);
  const { certificate, brokerCa } = stored;
  const link: LinkCredentials =
    renewed === null
      ? { present: { certificate, tlsKeyPem, brokerCa }, former: null }
      : linkCredentialsSchema.parse(JSON.parse(renewed));
  return { ...stored, ...link.present, proofKey: signingKeyFromPem(proofKeyPem), link };
}
