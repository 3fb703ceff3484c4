import { normalizeSerialNumber } from "@caas/contract/revocation-list.ts";
import * as z from "zod";
import { actorOf } from "../../http/principal.ts";
import { addCommand, addQuery, type Routing } from "../../http/routes.ts";
import type { Context } from "../../lifecycle/context.ts";
import { listRevocations, revoke } from "./revoke.ts";

const vehicleParams = z.strictObject({ vehicleId: z.uuid() });
const serialNumber = z
  .string()
  .regex(/^[0-9A-Fa-f]{1,40}$/, "must be hexadecimal")
  .transform(normalizeSerialNumber);

/** Revocation of a car, and the list of its certificates. */
export function identityRoutes(context: Context, routing: Routing): void {
  addCommand(routing, {
    url: "/api/vehicles/:vehicleId/revocation",
    tag: "fleet link",
    summary: "Revoke a car or a certificate",
    refuses: ["conflict", "unknownChoice"],
    description:
      "Cuts the car's connection, refuses it from now on and gives it no further certificate; with a serial number " +
      "only the holder of that certificate. There is no way back: a car that is to return gets a new identity.",
    params: vehicleParams,
    body: z.strictObject({
      reason: z.string().trim().min(3).max(500),
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
