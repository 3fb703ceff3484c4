import { webcrypto } from "node:crypto";
import "reflect-metadata";
import type { Vin } from "@caas/contract/vin.ts";
import * as x509 from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
type Span = { notBefore: Date; notAfter: Date };
const span: Span = { notBefore: new Date("2026-01-01"), notAfter: new Date("2099-01-01") };

/** A certificate authority for cars and for a broker on loopback. */
export async function makeAuthority(ownSpan: Span = span) {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=test authority",
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true)],
    ...ownSpan,
  });
  const certify = async (
    subject: string,
    publicKey: x509.PublicKeyType,
    extensions: x509.Extension[] = [],
    validity: Span = span,
  ): Promise<string> => {
    const leaf = await x509.X509CertificateGenerator.create({
      subject,
      issuer: root.subject,
      publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: algorithm,
      extensions,
      ...validity,
    });
    return leaf.toString("pem");
  };
  return {
    certificate: root.toString("pem"),
    certifyCar: (vin: Vin, tlsPublicKey: string, validity?: Span) =>
      certify(`CN=${vin}`, new x509.PublicKey(tlsPublicKey), [], validity),
    /** Certificate and key (PEM) of a server on 127.0.0.1; `changes` make it a wrong one. */
    async certifyServer(
      changes: { validity?: Span; address?: string; usage?: "client" } = {},
    ): Promise<{ cert: string; key: string }> {
      const server = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
      const key = await webcrypto.subtle.exportKey("pkcs8", server.privateKey);
      const names = new x509.SubjectAlternativeNameExtension([
        { type: "ip", value: changes.address ?? "127.0.0.1" },
      ]);
      const usage = new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage[changes.usage === "client" ? "clientAuth" : "serverAuth"],
      ]);
      return {
        cert: await certify("CN=broker", server.publicKey, [names, usage], changes.validity),
        key: x509.PemConverter.encode(key, "PRIVATE KEY"),
      };
    },
  };
}
