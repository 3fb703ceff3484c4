import { enrolmentRequestSchema, enrolmentResponseSchema } from "@caas/contract/enrolment.ts";
import { renewalRequestSchema, renewalResponseSchema } from "@caas/contract/renewal.ts";
import { normalizeSerialNumber } from "@caas/contract/revocation-list.ts";
import * as z from "zod";
import { actorOf } from "../http/principal.ts";
import { problemOfRefusal, problemResponse, sendProblem } from "../http/problem.ts";
import type { Refusal } from "../http/refusal.ts";
import { addCommand, addQuery, type Routing } from "../http/routes.ts";
import type { Http } from "../http/server.ts";
import type { Context } from "../lifecycle/context.ts";
import type { Db } from "../store/database.ts";
import type { Renewal } from "./certificates.ts";
import type { Enrolment } from "./enrolment.ts";
import { listRevocations, revoke } from "./revocations.ts";

/** An address may be many cars behind one operator; this bounds who tries tokens, or has us verify signatures. */
const triesAMinute = 600;

/** `POST /api/enrolments`: open to whoever holds a token, because a new car has nothing else. */
export function enrolmentRoutes(server: Http, db: Db, enrolment: Enrolment): void {
  server.post(
    "/api/enrolments",
    {
      config: { rateLimit: { max: triesAMinute, timeWindow: "1 minute" } },
      schema: {
        summary: "Enrol a car",
        operationId: "enrolACar",
        tags: ["fleet link"],
        description:
          "Trades the one-time token that the factory put into a car for its certificate. The same token with the " +
          "same keys gets the same certificate again; with other keys it is refused.",
        body: enrolmentRequestSchema,
        response: { 200: enrolmentResponseSchema, default: problemResponse },
      },
    },
    async (request, reply) => {
      const body = enrolmentRequestSchema.parse(request.body);
      const result: Awaited<ReturnType<Enrolment["enrol"]>> | Refusal = await db
        .transaction()
        .execute((tx) => enrolment.enrol(tx, body));
      if (result.kind === "refused") return sendProblem(reply, problemOfRefusal(result));
      return reply.code(200).send(result.response);
    },
  );
}

/** `POST /api/certificate-renewals`: open, because a car that slept too long has no valid certificate to show. */
export function renewalRoutes(server: Http, db: Db, renewal: Renewal): void {
  server.post(
    "/api/certificate-renewals",
    {
      config: { rateLimit: { max: triesAMinute, timeWindow: "1 minute" } },
      schema: {
        summary: "Renew a certificate",
        operationId: "renewACertificate",
        tags: ["fleet link"],
        description:
          "Gives an enrolled car its next certificate, also when the last one has expired. Both the TLS key that it " +
          "is for and the proof key that the car enrolled with sign the request. The same request gets the same " +
          "certificate again; a revoked car, or the key of a revoked certificate, gets none.",
        body: renewalRequestSchema,
        response: { 200: renewalResponseSchema, default: problemResponse },
      },
    },
    async (request, reply) => {
      const body = renewalRequestSchema.parse(request.body);
      const result: Awaited<ReturnType<Renewal["renew"]>> = await db
        .transaction()
        .execute((tx) => renewal.renew(tx, body));
      if (result.kind === "refused") return sendProblem(reply, problemOfRefusal(result));
      return reply.code(200).send(result.response);
    },
  );
}

const vehicleParams = z.strictObject({ vehicleId: z.uuid() });
const serialNumber = z
  .string()
  .regex(/^[0-9A-Fa-f]{1,40}$/, "must be hexadecimal")
  .transform(normalizeSerialNumber);

/** Shutting a car out, and what certificates it has. */
export function certificateRoutes(context: Context, routing: Routing): void {
  addCommand(routing, {
    url: "/api/vehicles/:vehicleId/revocation",
    tag: "fleet link",
    summary: "Revoke a car or a certificate",
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
      /** When the car itself was shut out. */
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
