import { hourMs } from "@caas/contract/durations.ts";
import "reflect-metadata";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export type TestAuthority = {
  pem: string;
  issue(request: LeafRequest): Promise<{ key: string; cert: string }>;
};

export type LeafRequest = {
  subject: string;
  usage?: "client" | "server";
  notBefore?: Date;
  notAfter?: Date;
  /** The certificate of another authority. */
  isAuthority?: boolean;
};

/** A certificate authority of its own, valid from long ago until long after. */
export async function createAuthority(name: string): Promise<TestAuthority> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    notBefore: new Date("2000-01-01T00:00:00Z"),
    notAfter: new Date("2090-01-01T00:00:00Z"),
    signingAlgorithm: algorithm,
    keys,
    extensions: [new BasicConstraintsExtension(true, undefined, true)],
  });
  return {
    pem: certificate.toString("pem"),
    issue: (request) => issue(request, certificate, keys.privateKey),
  };
}

async function issue(
  { subject, usage = "client", notBefore, notAfter, isAuthority = false }: LeafRequest,
  issuer: X509Certificate,
  signingKey: CryptoKey,
): Promise<{ key: string; cert: string }> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.create({
    subject,
    issuer: issuer.subject,
    notBefore: notBefore ?? new Date(Date.now() - hourMs),
    notAfter: notAfter ?? new Date(Date.now() + hourMs),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new BasicConstraintsExtension(isAuthority, undefined, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage[usage === "client" ? "clientAuth" : "serverAuth"]]),
      new SubjectAlternativeNameExtension([{ type: "ip", value: "127.0.0.1" }]),
    ],
  });
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { key: PemConverter.encode(pkcs8, "PRIVATE KEY"), cert: certificate.toString("pem") };
}

function newKeys() {
  return crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}
