import { createHash, X509Certificate } from "node:crypto";

/** When a certificate begins and ends, and when its car asks for the next, in business time. */
export type CertificateLife = { validFrom: Date; validUntil: Date; renewFrom: Date };

/** A third of its life remains in case the control plane is away. */
const renewAtShare = 2 / 3;
/** The requests of a fleet enrolled on one day are spread over this share of the life. */
const spreadShare = 1 / 12;

/**
 * A certificate's place in the spread is derived from its bytes, so that it is the same at every boot; a fresh draw
 * each time would make cars early that boot often.
 * @throws Error of node:crypto when the text is no certificate
 */
export function readCertificateLife(pem: string): CertificateLife {
  const certificate = new X509Certificate(pem);
  const { validFromDate: validFrom, validToDate: validUntil } = certificate;
  const draw = createHash("sha256").update(certificate.raw).digest().readUInt32BE(0) / 2 ** 32;
  const lifeMs = validUntil.getTime() - validFrom.getTime();
  const renewFrom = new Date(validFrom.getTime() + lifeMs * (renewAtShare + spreadShare * draw));
  return { validFrom, validUntil, renewFrom };
}
