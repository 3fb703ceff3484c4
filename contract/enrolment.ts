import { createPrivateKey, type KeyObject, sign, verify } from "node:crypto";
import * as z from "zod";
import { exportPublicKey, importPublicKey, isPublicKey } from "./jws.ts";
import { vinSchema } from "./vin.ts";

// How a car gets its identity. The factory installs the package in the car; the car makes its own keys and exchanges
// the one-time token for a certificate. No private key ever leaves it.

/** What the factory installs in a car once its VIN is known. */
export const enrolmentPackageSchema = z.strictObject({
  vin: vinSchema,
  token: z.string().min(22).max(128),
  controlPlaneUrl: z.url(),
  /** Raw Ed25519 public key (base64url) of the root that signs key sets: pinned for the car's life. */
  rootPublicKey: z.string().length(43),
  expiresAt: z.iso.datetime(),
});
export type EnrolmentPackage = z.infer<typeof enrolmentPackageSchema>;

/** `POST /api/enrolments` */
export const enrolmentRequestSchema = z.strictObject({
  token: z.string().min(22).max(128),
  /** SubjectPublicKeyInfo of the P-256 TLS key, PEM. */
  tlsPublicKey: z.string().max(1000),
  /** Signature by the TLS key over `enrolmentStatement`, base64url (DER ECDSA, SHA-256). */
  tlsProof: z.string().max(200),
  /** Raw Ed25519 public proof key, base64url. */
  proofPublicKey: z.string().length(43).refine(isPublicKey, "must be a raw Ed25519 public key, base64url"),
  /** Signature by the proof key over `enrolmentStatement`, base64url. */
  proof: z.string().max(120),
});
export type EnrolmentRequest = z.infer<typeof enrolmentRequestSchema>;

export const enrolmentResponseSchema = z.strictObject({
  vin: vinSchema,
  /** Leaf certificate, PEM; subject CN = VIN. */
  certificate: z.string(),
  /** CA that signed the broker's certificate, PEM. */
  brokerCa: z.string(),
  /** Signed key set (compact JWS). */
  keySet: z.string(),
  /** The broker, in order of preference. `mqtt://` only where it is on loopback. */
  broker: z.strictObject({
    url: z.string(),
    username: z.string(),
    /** Only for plain TCP on loopback; with TLS the certificate is the identity. */
    password: z.string().nullable(),
  }),
});
export type EnrolmentResponse = z.infer<typeof enrolmentResponseSchema>;

/** Signed by both keys: it binds them to each other and to the token, so that neither can be swapped on the way. */
export function enrolmentStatement(
  request: Pick<EnrolmentRequest, "token" | "tlsPublicKey" | "proofPublicKey">,
): Buffer {
  return Buffer.from(
    `caas-enrolment/v1\n${request.token}\n${request.tlsPublicKey.trim()}\n${request.proofPublicKey}`,
  );
}

/** Makes a car's request. `tlsKeyPem` and `proofKeyPem` are PKCS#8. */
export function makeEnrolmentRequest(
  token: string,
  tlsKeyPem: string,
  tlsPublicKey: string,
  proofKeyPem: string,
): EnrolmentRequest {
  const proofKey = createPrivateKey(proofKeyPem);
  const proofPublicKey = exportPublicKey(proofKey);
  const statement = enrolmentStatement({ token, tlsPublicKey, proofPublicKey });
  return {
    token,
    tlsPublicKey,
    tlsProof: sign("sha256", statement, createPrivateKey(tlsKeyPem)).toString("base64url"),
    proofPublicKey,
    proof: sign(null, statement, proofKey).toString("base64url"),
  };
}

/** Whether both keys signed the request; `tlsKey` is the parsed `tlsPublicKey`. */
export function isEnrolmentProved(request: EnrolmentRequest, tlsKey: KeyObject): boolean {
  const statement = enrolmentStatement(request);
  return (
    verify("sha256", statement, tlsKey, Buffer.from(request.tlsProof, "base64url")) &&
    verify(null, statement, importPublicKey(request.proofPublicKey), Buffer.from(request.proof, "base64url"))
  );
}
