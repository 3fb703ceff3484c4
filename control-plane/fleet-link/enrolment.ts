import { createHash, createHmac } from "node:crypto";
import { carPassword } from "@caas/contract/car-password.ts";
import { dayMs } from "@caas/contract/durations.ts";
import {
  type EnrolmentPackage,
  type EnrolmentRequest,
  type EnrolmentResponse,
  isEnrolmentProved,
} from "@caas/contract/enrolment.ts";
import { emptyManifestHash } from "@caas/contract/manifest.ts";
import { parseVin, type Vin } from "@caas/contract/vin.ts";
import { type Refusal, refuse } from "../http/refusal.ts";
import type { Context } from "../lifecycle/context.ts";
import type { EventHandler } from "../lifecycle/events.ts";
import type { Transaction } from "../store/database.ts";
import type { CertificateAuthority } from "./certificate-authority.ts";
import { isShutOut, keepCertificate, pemOfTlsKey, readTlsKey, thumbprintOfTlsKey } from "./certificates.ts";
import type { KeyRing } from "./key-ring.ts";

export type Enrolment = {
  onVinAssigned: EventHandler<"vinAssigned">;
  /** The package that the factory installs in the car; always the same one. */
  packageFor(vehicleId: string): Promise<EnrolmentPackage>;
  enrol(
    tx: Transaction,
    request: EnrolmentRequest,
  ): Promise<{ kind: "enrolled"; response: EnrolmentResponse } | Refusal>;
};

/** From the VIN's assignment: building, storing and driving the car takes weeks, not years. */
const tokenDays = 180;

function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("base64url");
}

export function createEnrolment(
  context: Context,
  options: {
    certificateAuthority: CertificateAuthority;
    keyRing: KeyRing;
    /** Derives the one-time tokens, so that none is stored. */
    tokenSecret: string;
    /** The address at which cars reach this REST interface; known once it listens. */
    controlPlaneUrl: () => string;
    broker: { url: string; carSecret: string | null };
  },
): Enrolment {
  const { certificateAuthority, keyRing, broker } = options;

  function tokenOf(vehicleId: string, vin: Vin): string {
    return createHmac("sha256", options.tokenSecret)
      .update(`caas-enrolment/v1|${vehicleId}|${vin}`)
      .digest("base64url");
  }

  return {
    onVinAssigned: async (tx, assigned) => {
      const cars = assigned.map(({ vehicleId, vin }) => ({ vehicle_id: vehicleId, vin: parseVin(vin) }));
      await tx
        .insertInto("vehicle_links")
        .values(
          cars.map((car) => ({ ...car, manifest_hash: emptyManifestHash, active_hash: emptyManifestHash })),
        )
        .onConflict((conflict) => conflict.column("vehicle_id").doNothing())
        .execute();
      const expiresAt = new Date(context.clock.now().getTime() + tokenDays * dayMs);
      await tx
        .insertInto("enrolment_tokens")
        .values(
          cars.map((car) => ({
            ...car,
            token_hash: hashToken(tokenOf(car.vehicle_id, car.vin)),
            expires_at: expiresAt,
          })),
        )
        .onConflict((conflict) => conflict.column("vehicle_id").doNothing())
        .execute();
    },

    async packageFor(vehicleId) {
      const row = await context.db
        .selectFrom("enrolment_tokens")
        .select(["vin", "expires_at"])
        .where("vehicle_id", "=", vehicleId)
        .executeTakeFirstOrThrow(() => new Error(`vehicle ${vehicleId} has no VIN yet`));
      const vin = parseVin(row.vin);
      return {
        vin,
        token: tokenOf(vehicleId, vin),
        controlPlaneUrl: options.controlPlaneUrl(),
        rootPublicKey: keyRing.rootPublicKey,
        expiresAt: row.expires_at.toISOString(),
      };
    },

    async enrol(tx, request) {
      // One sentence for every reason, so that an invalid token does not reveal which VINs exist.
      const invalid = refuse("tokenInvalid", "the token is unknown, expired, or was used by another key");
      const row = await tx
        .selectFrom("enrolment_tokens")
        .selectAll()
        .where("token_hash", "=", hashToken(request.token))
        .forUpdate()
        .executeTakeFirst();
      if (row === undefined) return invalid;
      const tlsKey = readTlsKey(request.tlsPublicKey);
      if (tlsKey === null)
        return refuse("badRequest", "must be the PEM of a P-256 public key", { field: "body.tlsPublicKey" });
      if (!isEnrolmentProved(request, tlsKey))
        return refuse("signatureInvalid", "both keys must sign the enrolment statement");
      const vin = parseVin(row.vin);
      const thumbprint = thumbprintOfTlsKey(tlsKey);
      if (await isShutOut(tx, row.vehicle_id, thumbprint))
        return refuse("identityRevoked", "the car was revoked");
      const respond = (certificate: string) =>
        ({
          kind: "enrolled",
          response: {
            vin,
            certificate,
            brokerCa: certificateAuthority.caCertificate,
            keySet: keyRing.keySetToken,
            broker: {
              url: broker.url,
              username: vin,
              password: broker.carSecret === null ? null : carPassword(broker.carSecret, vin),
            },
          },
        }) as const;

      if (row.used_at !== null) {
        // The answer was lost: the same car asks again with the same keys.
        const same = row.tls_key_thumbprint === thumbprint && row.proof_public_key === request.proofPublicKey;
        return same && row.certificate !== null ? respond(row.certificate) : invalid;
      }
      const now = context.clock.now();
      if (row.expires_at < now) return invalid;
      const issued = await certificateAuthority.issueForCar(vin, pemOfTlsKey(tlsKey));
      await tx
        .updateTable("enrolment_tokens")
        .set({
          used_at: now,
          tls_key_thumbprint: thumbprint,
          proof_public_key: request.proofPublicKey,
          certificate: issued.pem,
          serial_number: issued.serialNumber,
        })
        .where("vehicle_id", "=", row.vehicle_id)
        .execute();
      await keepCertificate(tx, {
        vehicleId: row.vehicle_id,
        thumbprint,
        requestHash: null,
        issued,
        at: now,
      });
      await tx
        .updateTable("vehicle_links")
        .set({ proof_public_key: request.proofPublicKey, key_set_version: keyRing.keySet.version })
        .where("vehicle_id", "=", row.vehicle_id)
        .execute();
      return respond(issued.pem);
    },
  };
}
