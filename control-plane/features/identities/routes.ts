import { type EnrolmentPackage, enrolmentPackageSchema } from "@caas/contract/enrolment.ts";
import { normalizeSerialNumber } from "@caas/contract/revocation-list.ts";
import * as z from "zod";
import { lineOfText } from "../../http/contact-fields.ts";
import { actorOf } from "../../http/principal.ts";
import type { Refusal } from "../../http/refusal.ts";
import { addCommand, addQuery, type Routing } from "../../http/routes.ts";
import type { Context } from "../../lifecycle/context.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import type { Transaction } from "../../store/database.ts";
import { listRevocations, revoke } from "./revoke.ts";

const vehicleParams = z.strictObject({ vehicleId: z.uuid() });
const reasonSchema = lineOfText(500).min(3);
const serialNumber = z
  .string()
  .regex(/^[0-9A-Fa-f]{1,40}$/, "must be hexadecimal")
  .transform(normalizeSerialNumber);

/** Issues another enrolment package; the fleet link knows how. */
export type IssuePackage = (
  tx: Transaction,
  vehicleId: string,
) => Promise<{ kind: "issued"; issue: number; package: EnrolmentPackage } | Refusal>;

/** Revocation of a car, a new identity for it, and the list of its certificates. */
export function identityRoutes(context: Context, routing: Routing, issuePackage: IssuePackage): void {
  addCommand(routing, {
    url: "/api/vehicles/:vehicleId/revocation",
    tag: "fleet link",
    summary: "Revoke a car or a certificate",
    refuses: ["conflict", "unknownChoice"],
    description:
      "Cuts the car's connection, refuses it from now on and gives it no further certificate; with a serial number " +
      "only the holder of that certificate. There is no way back: a car that is to return gets a new identity, by " +
      "another enrolment package.",
    params: vehicleParams,
    body: z.strictObject({
      reason: reasonSchema,
      /** Without it the car is revoked with all its certificates. */
      serialNumber: serialNumber.optional(),
    }),
    status: 200,
    answer: z.object({
      vehicleId: z.uuid(),
      serialNumber: z.string().nullable(),
      reason: z.string(),
      revokedAt: z.iso.datetime(),
    }),
    async run(tx, { principal, params: { vehicleId }, body }) {
      const outcome = await revoke(context, tx, {
        vehicleId,
        serialNumber: body.serialNumber ?? null,
        reason: body.reason,
        actor: actorOf(principal),
      });
      if (outcome.kind === "refused") return outcome;
      const { revocation } = outcome;
      return {
        kind: "done",
        answer: { vehicleId, ...revocation, revokedAt: revocation.revokedAt.toISOString() },
      };
    },
  });

  addCommand(routing, {
    url: "/api/vehicles/:vehicleId/enrolment-packages",
    tag: "fleet link",
    summary: "Issue another enrolment package",
    refuses: ["conflict"],
    description:
      "For a car whose memory or keys are lost, whose control unit was replaced, or that was revoked and is to return. " +
      "The package is given to the car as the first one was, and is shown only here: keep it as a key. The packages " +
      "before it are worthless at once. When the car uses it, its former certificates, proof key and connections end, " +
      "and it is brought to all that it is entitled to; nothing is charged again. Until then the car keeps its identity: " +
      "revoke it where that must end now.",
    params: vehicleParams,
    body: z.strictObject({
      reason: reasonSchema.meta({
        description: "Why, for the car's record.",
        example: "The control unit was replaced.",
      }),
    }),
    status: 201,
    answer: z.object({
      vehicleId: z.uuid(),
      issue: z.int(),
      reason: z.string(),
      package: enrolmentPackageSchema,
    }),
    async run(tx, { principal, params: { vehicleId }, body: { reason } }) {
      const issued = await issuePackage(tx, vehicleId);
      if (issued.kind === "refused") return issued;
      const { issue } = issued;
      await recordSteps(tx, [
        {
          vehicleId,
          event: "enrolmentPackageIssued",
          automation: null,
          actor: actorOf(principal),
          at: context.clock.now(),
          detail: { reason, issue },
        },
      ]);
      return { kind: "done", answer: { vehicleId, issue, reason, package: issued.package } };
    },
  });

  addQuery(routing, {
    url: "/api/vehicles/:vehicleId/certificates",
    tag: "fleet link",
    summary: "List the certificates of a car",
    params: vehicleParams,
    answer: z.object({
      /** When the car itself was revoked. */
      revokedAt: z.iso.datetime().nullable(),
      certificates: z.array(
        z.object({
          serialNumber: z.string(),
          issuedAt: z.iso.datetime(),
          notAfter: z.iso.datetime(),
          revokedAt: z.iso.datetime().nullable(),
        }),
      ),
    }),
    async run(db, { params: { vehicleId } }) {
      const revocations = await listRevocations(db, vehicleId);
      const revokedAt = (serial: string | null) =>
        revocations.find((one) => one.serialNumber === serial)?.revokedAt.toISOString() ?? null;
      const rows = await db
        .selectFrom("certificates")
        .select(["serial_number", "issued_at", "not_after"])
        .where("vehicle_id", "=", vehicleId)
        .orderBy("issued_at", "desc")
        .limit(100)
        .execute();
      const certificates = rows.map((row) => ({
        serialNumber: row.serial_number,
        issuedAt: row.issued_at.toISOString(),
        notAfter: row.not_after.toISOString(),
        revokedAt: revokedAt(row.serial_number),
      }));
      return { kind: "done", answer: { revokedAt: revokedAt(null), certificates } };
    },
  });
}
