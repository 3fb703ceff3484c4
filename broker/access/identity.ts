import { createHash, timingSafeEqual, X509Certificate } from "node:crypto";
import { isCarPassword } from "@caas/contract/car-password.ts";
import { normalizeSerialNumber } from "@caas/contract/revocation-list.ts";
import { explainVin, parseVin } from "@caas/contract/vin.ts";
import { type Identity, isAllowedWill, type Message } from "./access.ts";

// The identity of a client: by certificate over TLS, by password on loopback. Pure; the clock is an argument.

export type Authority = { certificate: X509Certificate; key: X509Certificate["publicKey"] };

/** The certificates of a PEM bundle. @throws Error when there is none or one cannot be read. */
export function readAuthorities(pem: string): Authority[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error("the car CA file holds no certificate");
  return blocks.map((block) => {
    const certificate = new X509Certificate(block);
    return { certificate, key: certificate.publicKey };
  });
}

/** The result of the handshake: TLS's own verdict, and the code of its objection (`CERT_HAS_EXPIRED`, …). */
export type PresentedCertificate = {
  certificate: X509Certificate | undefined;
  authorized: boolean;
  errorCode: string | undefined;
};

export type CertificateRefusal =
  | "no-certificate"
  | "foreign-authority"
  | "certificate-dates"
  | "certificate-subject";

/** Used after the handshake; `serialNumber` is in the revocation list's form. */
export type CertificateFacts = { serialNumber: string; expiresAt: Date };

export type CertificateVerdict =
  | ({ status: "known"; identity: Identity } & CertificateFacts)
  | { status: "refused"; reason: CertificateRefusal };

const dateErrors: ReadonlySet<string> = new Set(["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"]);
const clientAuthentication = "1.3.6.1.5.5.7.3.2"; // RFC 5280, 4.2.1.12

/**
 * Judges a client certificate; validity is judged at `now`, which is business time.
 * OpenSSL keeps only its last objection, and dates come last: "expired" may hide "foreign CA". So the issuer's
 * signature is always checked here, and the car CA must have issued a car's certificate directly.
 */
export function judgeCertificate(
  presented: PresentedCertificate,
  authorities: readonly Authority[],
  now: Date,
): CertificateVerdict {
  const { certificate } = presented;
  if (certificate === undefined) return { status: "refused", reason: "no-certificate" };
  const chained = presented.authorized || dateErrors.has(presented.errorCode ?? "");
  const issuer = chained
    ? authorities.find(
        (candidate) => certificate.checkIssued(candidate.certificate) && certificate.verify(candidate.key),
      )
    : undefined;
  if (issuer === undefined || certificate.ca || !issuer.certificate.ca)
    return { status: "refused", reason: "foreign-authority" };
  // `keyUsage` is undefined, against its type, where the certificate has no extended key usage.
  const usages: readonly string[] | undefined = certificate.keyUsage;
  if (usages !== undefined && !usages.includes(clientAuthentication))
    return { status: "refused", reason: "certificate-subject" };
  if (!isValidAt(certificate, now) || !isValidAt(issuer.certificate, now))
    return { status: "refused", reason: "certificate-dates" };
  const identity = identityOfSubject(certificate);
  return identity === undefined
    ? { status: "refused", reason: "certificate-subject" }
    : {
        status: "known",
        identity,
        serialNumber: normalizeSerialNumber(certificate.serialNumber),
        expiresAt: certificate.validToDate,
      };
}

function isValidAt(certificate: X509Certificate, now: Date): boolean {
  return certificate.validFromDate <= now && now <= certificate.validToDate;
}

function identityOfSubject(certificate: X509Certificate): Identity | undefined {
  // A name given twice arrives as a list, and no identity has two names.
  const { CN, OU } = certificate.toLegacyObject().subject;
  if (typeof CN !== "string") return undefined;
  if (CN === controlPlaneName) return OU === controlPlaneName ? { kind: "controlPlane" } : undefined;
  return explainVin(CN) === null ? { kind: "car", vin: parseVin(CN) } : undefined;
}

const controlPlaneName = "control-plane";

export type Passwords = { carSecret: string; controlPlanePassword: string };

/** The transport of a connection; over TLS its identity is known before the first packet. */
export type Peer = { transport: "tcp" } | ({ transport: "tls"; identity: Identity } & CertificateFacts);

/** The CONNECT packet, as far as it is judged. `keepAliveS` is in seconds, 0 = off. */
export type ConnectRequest = {
  protocolVersion: number;
  clientId: string;
  clean: boolean;
  keepAliveS: number;
  username: string | undefined;
  password: Uint8Array | undefined;
  will: Message | undefined;
};

export type ConnectRefusal =
  | "protocol-version"
  | "client-id"
  | "credentials"
  | "keep-alive"
  | "kept-session"
  | "foreign-will"
  | "revoked"
  | "too-many-connections";

/** `returnCode` is the CONNACK's (MQTT 3.1.1, table 3.1). */
export type ConnectVerdict =
  | { status: "accepted"; identity: Identity }
  | { status: "refused"; reason: ConnectRefusal; returnCode: 1 | 2 | 3 | 4 | 5 };

export type ConnectRules =
  | { policy: "open" }
  | { policy: "fleet"; passwords: Passwords | undefined; maxKeepAliveS: number };

export function judgeConnect(request: ConnectRequest, peer: Peer, rules: ConnectRules): ConnectVerdict {
  // aedes would speak 3.1, too. Its SUBACK cannot say that a subscription was refused. [MQTT-3.1.2-2]
  if (request.protocolVersion !== 4) return refused("protocol-version", 1);
  // A kept session without a client id could never be found again. [MQTT-3.1.3-8]
  if (request.clientId === "" && !request.clean) return refused("client-id", 2);
  if (rules.policy === "open") {
    const anyone: Identity = { kind: "anyone" };
    return request.will === undefined || isAllowedWill(anyone, request.will)
      ? { status: "accepted", identity: anyone }
      : refused("foreign-will", 5);
  }

  const identity = peer.transport === "tls" ? peer.identity : identityByPassword(request, rules.passwords);
  if (identity === undefined) return refused("credentials", 4);
  // The client id is bound to the identity; otherwise any car could take over another car's connection.
  if (!isOwnClientId(identity, request.clientId)) return refused("client-id", 2);
  if (request.keepAliveS === 0 || request.keepAliveS > rules.maxKeepAliveS) return refused("keep-alive", 5);
  // Nothing bounds the queue of a session kept for an absent client, so there are none.
  if (!request.clean) return refused("kept-session", 5);
  if (request.will !== undefined && !isAllowedWill(identity, request.will)) return refused("foreign-will", 5);
  return { status: "accepted", identity };
}

function refused(reason: ConnectRefusal, returnCode: 1 | 2 | 4 | 5): ConnectVerdict {
  return { status: "refused", reason, returnCode };
}

function isOwnClientId(identity: Identity, clientId: string): boolean {
  switch (identity.kind) {
    case "car":
      return clientId === identity.vin;
    case "controlPlane":
      return clientId.startsWith(controlPlaneName);
    case "anyone":
      return true;
  }
}

function identityByPassword(request: ConnectRequest, passwords: Passwords | undefined): Identity | undefined {
  const { username, password } = request;
  if (passwords === undefined || username === undefined || password === undefined) return undefined;
  const given = Buffer.from(password).toString();
  if (username === controlPlaneName)
    return isSameText(given, passwords.controlPlanePassword) ? { kind: "controlPlane" } : undefined;
  if (explainVin(username) !== null) return undefined;
  const vin = parseVin(username);
  return isCarPassword(passwords.carSecret, vin, given) ? { kind: "car", vin } : undefined;
}

/** Compares hashes, so that the time it takes reveals neither content nor length. */
function isSameText(one: string, other: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
}
