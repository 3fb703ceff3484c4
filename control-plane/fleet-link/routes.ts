import { enrolmentRequestSchema, enrolmentResponseSchema } from "@caas/contract/enrolment.ts";
import { problemOfRefusal, problemResponse, sendProblem } from "../http/problem.ts";
import type { Refusal } from "../http/refusal.ts";
import type { Http } from "../http/server.ts";
import type { Db } from "../store/database.ts";
import type { Enrolment } from "./enrolment.ts";

/** Cars ask once in their life; this bounds who tries tokens. */
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
