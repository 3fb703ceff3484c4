import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { dayMs } from "@caas/contract/durations.ts";
import {
  isRenewalProved,
  type RenewalRequest,
  type RenewalResponse,
  renewalStatement,
} from "@caas/contract/renewal.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { type Refusal, refuse } from "../http/refusal.ts";
import type { Context } from "../lifecycle/context.ts";
import type { Reader, Transaction } from "../store/database.ts";
import type { CertificateAuthority, IssuedCertificate } from "./certificate-authority.ts";
import type { KeyRing } from "./key-ring.ts";

export type Renewal = {
  renew(
    tx: Transaction,
    request: RenewalRequest,
  ): Promise<{ kind: "renewed"; response: RenewalResponse } | Refusal>;
};

/** In both directions: a car's clock and ours may differ, and an intercepted request must not be usable for long. */
const requestLifeMs = dayMs;

export function createRenewal(
  context: Context,
  options: { certificateAuthority: CertificateAuthority; keyRing: KeyRing },
): Renewal {
  const { certificateAuthority, keyRing } = options;

  return {
    async renew(tx, request) {
      const tlsKey = readTlsKey(request.tlsPublicKey);
      if (tlsKey === null)
        return refuse("badRequest", "must be the PEM of a P-256 public key", { field: "body.tlsPublicKey" });
      const car = await tx
        .selectFrom("vehicle_links")
        .select(["vehicle_id", "proof_public_key"])
        .where("vin", "=", request.vin)
        .forUpdate()
        .executeTakeFirst();
      // One answer for an unknown car and a foreign signature, so that it does not reveal which VINs exist.
      const proofKey = car?.proof_public_key ?? null;
      if (car === undefined || proofKey === null || !isRenewalProved(request, tlsKey, proofKey))
        return refuse("signatureInvalid", "both keys of an enrolled car must sign the renewal statement");
      const now = context.clock.now();
      if (Math.abs(Date.parse(request.requestedAt) - now.getTime()) > requestLifeMs)
        return refuse("badRequest", `must be within a day of ${now.toISOString()}`, {
          field: "body.requestedAt",
        });
      const thumbprint = thumbprintOfTlsKey(tlsKey);
      if (await isShutOut(tx, car.vehicle_id, thumbprint))
        return refuse("identityRevoked", "the car, or the key the certificate would be for, was revoked");

      const requestHash = createHash("sha256").update(renewalStatement(request)).digest("base64url");
      const respond = (certificate: string) =>
        ({
          kind: "renewed",
          response: {
            certificate,
            brokerCa: certificateAuthority.caCertificate,
            keySet: keyRing.keySetToken,
          },
        }) as const;
      const earlier = await tx
        .selectFrom("certificates")
        .select("pem")
        .where("request_hash", "=", requestHash)
        .executeTakeFirst();
      // The answer was lost.
      if (earlier !== undefined) return respond(earlier.pem);
      const issued = await certificateAuthority.issueForCar(parseVin(request.vin), pemOfTlsKey(tlsKey));
      await keepCertificate(tx, { vehicleId: car.vehicle_id, thumbprint, requestHash, issued, at: now });
      return respond(issued.pem);
    },
  };
}

/** Whether the car was revoked, or a certificate for this TLS key. */
export async function isShutOut(reader: Reader, vehicleId: string, thumbprint: string): Promise<boolean> {
  const row = await reader
    .selectFrom("revocations as revocation")
    .leftJoin("certificates as certificate", "certificate.serial_number", "revocation.serial_number")
    .where("revocation.vehicle_id", "=", vehicleId)
    .where((where) =>
      where.or([
        where("revocation.serial_number", "is", null),
        where("certificate.tls_key_thumbprint", "=", thumbprint),
      ]),
    )
    .select("revocation.id")
    .executeTakeFirst();
  return row !== undefined;
}

export async function keepCertificate(
  tx: Transaction,
  kept: {
    vehicleId: string;
    thumbprint: string;
    requestHash: string | null;
    issued: IssuedCertificate;
    at: Date;
  },
): Promise<void> {
  await tx
    .insertInto("certificates")
    .values({
      serial_number: kept.issued.serialNumber,
      vehicle_id: kept.vehicleId,
      tls_key_thumbprint: kept.thumbprint,
      request_hash: kept.requestHash,
      pem: kept.issued.pem,
      issued_at: kept.at,
      not_after: kept.issued.notAfter,
    })
    .execute();
}

/**
 * The P-256 public key in `pem`, or `null` where there is none. Node would also take the public half of a private key or
 * of a certificate: a private key must not be sent to us, and nothing else here reads those.
 */
export function readTlsKey(pem: string): KeyObject | null {
  if (!/^\s*-----BEGIN PUBLIC KEY-----\s/.test(pem)) return null;
  try {
    const key = createPublicKey(pem);
    return key.asymmetricKeyDetails?.namedCurve === "prime256v1" ? key : null;
  } catch {
    return null;
  }
}

/** In the one spelling of ours. */
export function pemOfTlsKey(key: KeyObject): string {
  return key.export({ format: "pem", type: "spki" }).toString();
}

export function thumbprintOfTlsKey(key: KeyObject): string {
  return createHash("sha256")
    .update(key.export({ format: "der", type: "spki" }))
    .digest("base64url");
}
