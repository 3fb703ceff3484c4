import { problemSchema as answeredProblem } from "@caas/contract/client/client.ts";
import type { FastifyReply } from "fastify";
import * as z from "zod";
import { type ErrorCode, errorTable } from "./error-table.ts";
import type { Refusal } from "./refusal.ts";

/** RFC 9457 problem details, with the rule that refused and the fields that are wrong. */
export const problemSchema = z.object({ type: z.string(), ...answeredProblem.shape }).meta({ id: "Problem" });

export type Problem = z.infer<typeof problemSchema>;

/** The answer of every route that does not do what it was asked, for the interface's description. */
export const problemResponse = {
  description: "The problem: docs/errors.md lists the codes",
  content: { "application/problem+json": { schema: problemSchema } },
};

export function problemOf(
  code: ErrorCode,
  detail: string,
  more: Partial<Pick<Problem, "rule" | "section" | "errors">> = {},
): Problem {
  const { status, title } = errorTable[code];
  return { type: `urn:caas:error:${code}`, title, status, detail, code, ...more };
}

/** A request whose fields are wrong. */
export function problemOfFields(errors: readonly { field: string; message: string }[]): Problem {
  const detail = errors.map(({ field, message }) => `${field}: ${message}`).join("; ");
  return problemOf("badRequest", detail, { errors: [...errors] });
}

export function problemOfRefusal(refusal: Refusal): Problem {
  return problemOf(refusal.code, refusal.detail, {
    ...(refusal.rule === undefined ? {} : { rule: refusal.rule }),
    ...(refusal.section === undefined ? {} : { section: refusal.section }),
    ...(refusal.field === undefined ? {} : { errors: [{ field: refusal.field, message: refusal.detail }] }),
  });
}

/** Answers a refusal, with the time to wait where it has one. */
export function sendRefusal(reply: FastifyReply, refusal: Refusal): FastifyReply {
  if (refusal.retryAfterSeconds !== undefined) reply.header("retry-after", refusal.retryAfterSeconds);
  return sendProblem(reply, problemOfRefusal(refusal));
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  return reply.code(problem.status).type("application/problem+json").send(JSON.stringify(problem));
}
