import { createHash, X509Certificate } from "node:crypto";

/** When a certificate begins and ends, and when the car that holds it asks for the next, in business time. */
export type CertificateLife = { validFrom: Date; validUntil: Date; renewFrom: Date };

/** A third of its life is left for a control plane that is away. */
const renewAtShare = 2 / 3;
/** A fleet that was enrolled on one day asks over this share of the life, not in one minute. */
const spreadShare = 1 / 12;

/**
 * The place of a certificate in the spread is drawn from its own bytes: it stays the same at every boot, where a
 * fresh draw each time would make cars that boot often early.
 * @throws what node:crypto says of a text that is no certificate
 */
export function readCertificateLife(pem: string): CertificateLife {
  const certificate = new X509Certificate(pem);
  const { validFromDate: validFrom, validToDate: validUntil } = certificate;
  const draw = createHash("sha256").update(certificate.raw).digest().readUInt32BE(0) / 2 ** 32;
  const lifeMs = validUntil.getTime() - validFrom.getTime();
  const renewFrom = new Date(validFrom.getTime() + lifeMs * (renewAtShare + spreadShare * draw));
  return { validFrom, validUntil, renewFrom };
}
