import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { verifyingKeyFrom } from "@caas/contract/jws.ts";
import { verifyKeySet } from "@caas/contract/key-set.ts";
import type { Vin } from "@caas/contract/vin.ts";

/** Plain HTTP may have altered an answer: it is stored only if the pinned root and the car's own key confirm it. */
export function explainDistrust(
  answer: { certificate: string; keySet: string },
  own: { vin: Vin; rootPublicKey: string; tlsKeyPem: string },
): string | null {
  const keySet = verifyKeySet(answer.keySet, verifyingKeyFrom(own.rootPublicKey), 0);
  if (keySet.kind === "refused") return `the key set is ${keySet.reason} under the pinned root`;
  const certificate = readCertificate(answer.certificate);
  if (certificate === null) return "the certificate cannot be read";
  if (!certificate.publicKey.equals(createPublicKey(createPrivateKey(own.tlsKeyPem))))
    return "the certificate is for another key";
  if (!certificate.subject.split("\n").includes(`CN=${own.vin}`)) return "the certificate names another car";
  return null;
}

function readCertificate(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem);
  } catch {
    return null;
  }
}
