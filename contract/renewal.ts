import { createPrivateKey, type KeyObject, sign, verify } from "node:crypto";
import * as z from "zod";
import { importPublicKey } from "./jws.ts";
import { type Vin, vinSchema } from "./vin.ts";

// How a car gets its next certificate: over HTTPS, proved by the proof key it enrolled with, so that a car whose
// certificate ran out while it slept comes back unaided. A new TLS key may come with it.

/** `POST /api/certificate-renewals` */
export const renewalRequestSchema = z.strictObject({
  vin: vinSchema,
  /** SubjectPublicKeyInfo of the P-256 key the new certificate is for, PEM. */
  tlsPublicKey: z.string().max(1000),
  /** The car's trusted time; a request is good for a day either way of the control plane's. */
  requestedAt: z.iso.datetime(),
  /** Signature by the TLS key over `renewalStatement`, base64url (DER ECDSA, SHA-256). */
  tlsProof: z.string().max(200),
  /** Signature by the enrolled proof key over `renewalStatement`, base64url. */
  proof: z.string().max(120),
});
export type RenewalRequest = z.infer<typeof renewalRequestSchema>;

export const renewalResponseSchema = z.strictObject({
  /** Leaf certificate, PEM; subject CN = VIN. */
  certificate: z.string(),
  /** CA that signed the broker's certificate, PEM. */
  brokerCa: z.string(),
  /** Signed key set (compact JWS): the car may have slept through a rotation. */
  keySet: z.string(),
});
export type RenewalResponse = z.infer<typeof renewalResponseSchema>;

/** What both keys sign. */
export function renewalStatement(
  request: Pick<RenewalRequest, "vin" | "tlsPublicKey" | "requestedAt">,
): Buffer {
  return Buffer.from(
    `caas-renewal/v1\n${request.vin}\n${request.requestedAt}\n${request.tlsPublicKey.trim()}`,
  );
}

/** Makes the request a car sends. `tlsKeyPem` and `proofKeyPem` are PKCS#8. */
export function makeRenewalRequest(
  vin: Vin,
  keys: { tlsKeyPem: string; tlsPublicKey: string; proofKeyPem: string },
  requestedAt: Date,
): RenewalRequest {
  const unsigned = { vin, tlsPublicKey: keys.tlsPublicKey, requestedAt: requestedAt.toISOString() };
  const statement = renewalStatement(unsigned);
  return {
    ...unsigned,
    tlsProof: sign("sha256", statement, createPrivateKey(keys.tlsKeyPem)).toString("base64url"),
    proof: sign(null, statement, createPrivateKey(keys.proofKeyPem)).toString("base64url"),
  };
}

/** Whether both keys signed the request; `tlsKey` is the parsed `tlsPublicKey`, `proofPublicKey` the enrolled one. */
export function isRenewalProved(request: RenewalRequest, tlsKey: KeyObject, proofPublicKey: string): boolean {
  const statement = renewalStatement(request);
  return (
    verify("sha256", statement, tlsKey, Buffer.from(request.tlsProof, "base64url")) &&
    verify(null, statement, importPublicKey(proofPublicKey), Buffer.from(request.proof, "base64url"))
  );
}
