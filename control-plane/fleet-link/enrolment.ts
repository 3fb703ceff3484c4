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
import {
  isKeyKnown,
  isShutOut,
  keepCertificate,
  pemOfTlsKey,
  readTlsKey,
  thumbprintOfTlsKey,
} from "./certificates.ts";
import type { KeyRing } from "./key-ring.ts";

export type Enrolment = {
  onVinAssigned: EventHandler<"vinAssigned">;
  /** The package that the factory installs in the car; always the same one until another is issued. */
  packageFor(vehicleId: string): Promise<EnrolmentPackage>;
  /**
   * Another package for a car whose identity is lost or in doubt; the token of the one before is worthless from now
   * on. The car keeps its identity until it uses the new one.
   */
  issueAgain(
    tx: Transaction,
    vehicleId: string,
  ): Promise<{ kind: "issued"; issue: number; package: EnrolmentPackage } | Refusal>;
  enrol(
    tx: Transaction,
    request: EnrolmentRequest,
  ): Promise<{ kind: "enrolled"; response: EnrolmentResponse } | Refusal>;
};

/** From the VIN's assignment: building, storing and driving the car takes weeks, not years. */
const tokenDays = 180;
/** From an order to the workshop to the car's visit there. */
const laterTokenDays = 30;
/** The broker may have kept presences that never reached us. */
const connectionMargin = 10_000;

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

  function tokenOf(vehicleId: string, vin: Vin, issue: number): string {
    return createHmac("sha256", options.tokenSecret)
      .update(`caas-enrolment/v1|${vehicleId}|${vin}${issue === 1 ? "" : `|${issue}`}`)
      .digest("base64url");
  }

  function packageOf(vehicleId: string, vin: Vin, issue: number, expiresAt: Date): EnrolmentPackage {
    return {
      vin,
      token: tokenOf(vehicleId, vin, issue),
      controlPlaneUrl: options.controlPlaneUrl(),
      rootPublicKey: keyRing.rootPublicKey,
      expiresAt: expiresAt.toISOString(),
    };
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
            token_hash: hashToken(tokenOf(car.vehicle_id, car.vin, 1)),
            expires_at: expiresAt,
          })),
        )
        .onConflict((conflict) => conflict.column("vehicle_id").doNothing())
        .execute();
    },

    async packageFor(vehicleId) {
      const row = await context.db
        .selectFrom("enrolment_tokens")
        .select(["vin", "expires_at", "issue"])
        .where("vehicle_id", "=", vehicleId)
        .executeTakeFirstOrThrow(() => new Error(`vehicle ${vehicleId} has no VIN yet`));
      return packageOf(vehicleId, parseVin(row.vin), row.issue, row.expires_at);
    },

    async issueAgain(tx, vehicleId) {
      const row = await tx
        .selectFrom("enrolment_tokens")
        .select(["vin", "issue"])
        .where("vehicle_id", "=", vehicleId)
        .forUpdate()
        .executeTakeFirst();
      if (row === undefined)
        return refuse("conflict", "the car has no identity yet: no VIN was assigned to it");
      const [vin, issue, now] = [parseVin(row.vin), row.issue + 1, context.clock.now()];
      const expiresAt = new Date(now.getTime() + laterTokenDays * dayMs);
      await tx
        .updateTable("enrolment_tokens")
        .set({
          token_hash: hashToken(tokenOf(vehicleId, vin, issue)),
          issue,
          issued_at: now,
          expires_at: expiresAt,
          used_at: null,
          tls_key_thumbprint: null,
          proof_public_key: null,
          certificate: null,
          serial_number: null,
        })
        .where("vehicle_id", "=", vehicleId)
        .execute();
      return { kind: "issued", issue, package: packageOf(vehicleId, vin, issue, expiresAt) };
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
      // A package that was issued after the car was revoked is the way back.
      const revokedFrom = row.used_at === null ? row.issued_at : null;
      if (await isShutOut(tx, row.vehicle_id, thumbprint, revokedFrom))
        return refuse("identityRevoked", "the car was revoked");
      const link = await tx
        .selectFrom("vehicle_links")
        .select(["proof_public_key", "presence_connection"])
        .where("vehicle_id", "=", row.vehicle_id)
        .forUpdate()
        .executeTakeFirstOrThrow(() => new Error(`the car ${row.vehicle_id} has no link`));
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
            ...(row.issue === 1 ? {} : { connection: link.presence_connection + connectionMargin }),
          },
        }) as const;

      if (row.used_at !== null) {
        // The answer was lost: the same car asks again with the same keys.
        const same = row.tls_key_thumbprint === thumbprint && row.proof_public_key === request.proofPublicKey;
        return same && row.certificate !== null ? respond(row.certificate) : invalid;
      }
      const now = context.clock.now();
      if (row.expires_at < now) return invalid;
      const formerProofKey = link.proof_public_key;
      if (formerProofKey === request.proofPublicKey)
        return refuse("badRequest", "must be a new key: the former one has ended", {
          field: "body.proofPublicKey",
        });
      if (await isKeyKnown(tx, row.vehicle_id, thumbprint))
        return refuse("badRequest", "must be a new key: the former one has ended", {
          field: "body.tlsPublicKey",
        });
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
        .set({
          proof_public_key: request.proofPublicKey,
          key_set_version: keyRing.keySet.version,
          // A new journal: it has nothing, and its reports count from 1.
          report_seq: 0,
          report_sent_at: null,
          report_taken_at: null,
          active_version: 0,
          active_hash: emptyManifestHash,
        })
        .where("vehicle_id", "=", row.vehicle_id)
        .execute();
      if (row.issue > 1)
        await context.publish(tx, "carEnrolledAgain", [
          { vehicleId: row.vehicle_id, formerProofKey, serialNumber: issued.serialNumber },
        ]);
      return respond(issued.pem);
    },
  };
}
