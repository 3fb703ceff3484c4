import { enrolmentRequestSchema, enrolmentResponseSchema } from "@caas/contract/enrolment.ts";
import { renewalRequestSchema, renewalResponseSchema } from "@caas/contract/renewal.ts";
import { problemOfRefusal, problemResponses, sendProblem } from "../http/problem.ts";
import type { Refusal } from "../http/refusal.ts";
import type { Http } from "../http/server.ts";
import type { Db } from "../store/database.ts";
import type { Renewal } from "./certificates.ts";
import type { Enrolment } from "./enrolment.ts";

/** An address may be many cars behind one operator; this bounds attempts to guess tokens or to make us verify. */
const triesAMinute = 600;

const refusals = [
  "badRequest",
  "tokenInvalid",
  "identityRevoked",
  "signatureInvalid",
  "tooManyRequests",
  "payloadTooLarge",
  "unsupportedMediaType",
] as const;

/** `POST /api/enrolments`: open to holders of a token, because a new car has nothing else. */
export function enrolmentRoutes(server: Http, db: Db, enrolment: Enrolment): void {
  server.post(
    "/api/enrolments",
    {
      config: { refuses: refusals, rateLimit: { max: triesAMinute, timeWindow: "1 minute" } },
      schema: {
        summary: "Enrol a car",
        operationId: "enrolACar",
        tags: ["fleet link"],
        security: [],
        description:
          "Trades the one-time token that the factory put into a car for its certificate. The same token with the " +
          "same keys gets the same certificate again; with other keys it is refused.",
        body: enrolmentRequestSchema,
        response: { 200: enrolmentResponseSchema, ...problemResponses(refusals) },
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
      config: { refuses: refusals, rateLimit: { max: triesAMinute, timeWindow: "1 minute" } },
      schema: {
        summary: "Renew a certificate",
        operationId: "renewACertificate",
        tags: ["fleet link"],
        security: [],
        description:
          "Gives an enrolled car its next certificate, also when the last one has expired. Both the TLS key that it " +
          "is for and the proof key that the car enrolled with sign the request. The same request gets the same " +
          "certificate again; a revoked car, or the key of a revoked certificate, gets none.",
        body: renewalRequestSchema,
        response: { 200: renewalResponseSchema, ...problemResponses(refusals) },
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
