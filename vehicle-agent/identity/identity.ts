import { createPrivateKey, X509Certificate } from "node:crypto";
import { enrolmentResponseSchema } from "@caas/contract/enrolment.ts";
import { type SigningKey, signingKeyFromPem } from "@caas/contract/jws.ts";
import { type Vin, vinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import { readIntact } from "../storage/read-intact.ts";
import type { AgentStorage } from "../storage/storage.ts";
import { checkedPem, makeTlsKey } from "./keys.ts";

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
export type CarIdentity = AgentIdentity &
  StoredIdentity & {
    tlsKeyPem: string;
    link: LinkCredentials;
    /** The certificate's key was damaged: the car needs another certificate before it can connect. */
    isTlsKeyLost?: boolean;
  };

/** The name of the identity among the stored texts. */
export const identityName = "identity.json";
/** Since the first renewal: certificate and key in one file, so that they always belong together. */
const linkFileName = "keys/link.json";

/** Holds the newest accepted key set (compact JWS); enrolment and bulk enrolment store the first. */
export const keySetFileName = "key-set.jws";

export async function saveIdentity(storage: AgentStorage, identity: StoredIdentity): Promise<void> {
  await storage.write(identityName, JSON.stringify(storedIdentitySchema.parse(identity)));
}

export async function saveLinkCredentials(storage: AgentStorage, link: LinkCredentials): Promise<void> {
  await storage.write(linkFileName, JSON.stringify(linkCredentialsSchema.parse(link)));
}

/**
 * The identity of an enrolled car; `null` before its enrolment has ended, and where a file of it was damaged. The key of
 * the first certificate is needed only until that is renewed, and a renewed certificate only as long as it is intact.
 */
export async function loadIdentity(storage: AgentStorage): Promise<CarIdentity | null> {
  const stored = await readIntact(storage, identityName, (text) =>
    storedIdentitySchema.parse(JSON.parse(text)),
  );
  const tlsKeyPem = await readIntact(storage, "keys/tls.pem", checkedPem);
  const proofKey = await readIntact(storage, "keys/proof.pem", signingKeyFromPem);
  const renewed = await readIntact(storage, linkFileName, parseLink);
  // The next proof key is not the one that it was enrolled with: after a crash the two must not be taken for a pair.
  if (stored !== null && proofKey === null) await storage.setAside(identityName);
  if (stored === null || proofKey === null) return null;
  const { certificate, brokerCa } = stored;
  const link = renewed ?? {
    present: { certificate, tlsKeyPem: tlsKeyPem ?? makeTlsKey(), brokerCa },
    former: null,
  };
  // The proof key alone renews a certificate.
  const isTlsKeyLost = renewed === null && tlsKeyPem === null;
  return { ...stored, ...link.present, proofKey, link, isTlsKeyLost };
}

/** The car has lost its memory or its proof key: nothing of its identity may be used any more. */
export async function endIdentity(storage: AgentStorage): Promise<void> {
  for (const name of [identityName, linkFileName, "keys/tls.pem", "keys/proof.pem"])
    if ((await storage.read(name)) !== null) await storage.setAside(name);
}

/** @throws when a key or a certificate in it is none */
function parseLink(text: string): LinkCredentials {
  const link = linkCredentialsSchema.parse(JSON.parse(text));
  for (const credential of [link.present, link.former]) {
    if (credential === null) continue;
    createPrivateKey(credential.tlsKeyPem);
    new X509Certificate(credential.certificate);
  }
  return link;
}
