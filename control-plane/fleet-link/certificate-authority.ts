import { dayMs } from "@caas/contract/durations.ts";
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { join } from "node:path";
import type { Clock } from "@caas/contract/business-clock.ts";
import { normalizeSerialNumber } from "@caas/contract/revocation-list.ts";
import type { Vin } from "@caas/contract/vin.ts";
import * as x509 from "@peculiar/x509";
import { readOrMake, writeSecret } from "./secret-files.ts";

// Issues the TLS certificates (P-256, X.509) of cars, of the broker and of the control plane itself.

/** `serialNumber` in the revocation list's form. */
export type IssuedCertificate = { pem: string; serialNumber: string; notAfter: Date };

export type CertificateAuthority = {
  /** Clients of the broker trust it, and the broker trusts it for its clients. */
  caCertificate: string;
  /** @param publicKeyPem SubjectPublicKeyInfo of the car's P-256 key, PEM; throws when it is none */
  issueForCar(vin: Vin, publicKeyPem: string): Promise<IssuedCertificate>;
  /** Key and certificate files for the broker's TLS port and for our own connection to it. */
  issueForServices(folder: string): Promise<ServiceCertificates>;
};

export type ServiceCertificates = {
  caFile: string;
  broker: { keyFile: string; certificateFile: string };
  controlPlane: { keyFile: string; certificateFile: string };
};

const algorithm = { name: "ECDSA", namedCurve: "P-256" } as const;
const signing = { name: "ECDSA", hash: "SHA-256" } as const;
const caYears = 20;
/** A car renews at two thirds of it, so that a stolen certificate is usable for a season at most. */
const carDays = 90;
/** Our own are issued again at each start. */
const serviceDays = 730;

function pemToDer(pem: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64"));
}

async function makeKeyPem(): Promise<string> {
  const pair = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", pair.privateKey)).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${der.match(/.{1,64}/g)?.join("\n")}\n-----END PRIVATE KEY-----\n`;
}

async function importPair(pem: string): Promise<webcrypto.CryptoKeyPair> {
  const privateKey = await webcrypto.subtle.importKey("pkcs8", pemToDer(pem), algorithm, true, ["sign"]);
  const { kty, crv, x, y } = await webcrypto.subtle.exportKey("jwk", privateKey);
  const jwk = { kty, crv, x, y };
  const publicKey = await webcrypto.subtle.importKey("jwk", jwk, algorithm, true, ["verify"]);
  return { privateKey, publicKey };
}

/** Opens the authority in `folder`, making its key and certificate on the first start. */
export async function openCertificateAuthority(folder: string, clock: Clock): Promise<CertificateAuthority> {
  x509.cryptoProvider.set(webcrypto);
  const keys = await importPair(await readOrMake(join(folder, "car-ca.key"), makeKeyPem));
  const caCertificate = await readOrMake(join(folder, "car-ca.pem"), async () => {
    const now = clock.now();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: "CN=Car-as-a-Service fleet CA",
      keys,
      signingAlgorithm: signing,
      notBefore: new Date(now.getTime() - dayMs),
      notAfter: new Date(now.getTime() + caYears * 365 * dayMs),
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return certificate.toString("pem");
  });
  const issuer = new x509.X509Certificate(caCertificate);

  async function issue(
    subject: string,
    publicKey: webcrypto.CryptoKey,
    usage: "client" | "server",
    days: number,
    extensions: x509.Extension[],
  ): Promise<IssuedCertificate> {
    const now = clock.now();
    // X.509 counts in whole seconds.
    const notAfter = new Date(Math.floor((now.getTime() + days * dayMs) / 1_000) * 1_000);
    const certificate = await x509.X509CertificateGenerator.create({
      subject,
      issuer: issuer.subject,
      publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: signing,
      notBefore: new Date(now.getTime() - dayMs),
      notAfter,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([
          usage === "client" ? x509.ExtendedKeyUsage.clientAuth : x509.ExtendedKeyUsage.serverAuth,
        ]),
        await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
        ...extensions,
      ],
    });
    const serialNumber = normalizeSerialNumber(certificate.serialNumber);
    return { pem: certificate.toString("pem"), serialNumber, notAfter };
  }

  async function issueService(
    folderPath: string,
    name: string,
    subject: string,
    usage: "client" | "server",
    extensions: x509.Extension[],
  ) {
    const keyFile = join(folderPath, `${name}.key`);
    const certificateFile = join(folderPath, `${name}.pem`);
    const pair = await importPair(await readOrMake(keyFile, makeKeyPem));
    // Again at each start: it costs a millisecond, and a running platform's own certificate never expires.
    await writeSecret(
      certificateFile,
      (await issue(subject, pair.publicKey, usage, serviceDays, extensions)).pem,
    );
    return { keyFile, certificateFile };
  }

  return {
    caCertificate,
    async issueForCar(vin, publicKeyPem) {
      const publicKey = await webcrypto.subtle.importKey("spki", pemToDer(publicKeyPem), algorithm, true, [
        "verify",
      ]);
      return issue(`CN=${vin}`, publicKey, "client", carDays, []);
    },
    async issueForServices(folderPath) {
      const names = new x509.SubjectAlternativeNameExtension([
        { type: "dns", value: "localhost" },
        { type: "ip", value: "127.0.0.1" },
      ]);
      return {
        caFile: join(folder, "car-ca.pem"),
        broker: await issueService(folderPath, "broker", "CN=localhost", "server", [names]),
        controlPlane: await issueService(
          folderPath,
          "control-plane",
          "CN=control-plane, OU=control-plane",
          "client",
          [],
        ),
      };
    },
  };
}
