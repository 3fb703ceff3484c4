import { problemSchema as answeredProblem } from "@caas/contract/client/client.ts";
import type { FastifyReply } from "fastify";
import * as z from "zod";
import { type ErrorCode, errorTable } from "./error-table.ts";
import type { Refusal } from "./refusal.ts";

/** RFC 9457 problem details, with the rule that refused and the fields that are wrong. */
export const problemSchema = z
  .object({
    type: z.string(),
    ...answeredProblem.shape,
    status: z.int().meta({ description: "The HTTP status.", examples: [409] }),
    detail: z.string().meta({
      description: "What is wrong, in a sentence.",
      examples: ["the reservation is paid already"],
    }),
  })
  .meta({ id: "Problem" });

export type Problem = z.infer<typeof problemSchema>;

const problemContent = { "application/problem+json": { schema: problemSchema } };

/**
 * Every refusal of a route for the interface's description, by status; and what any route may answer when the fault is
 * ours. A refusal that is sent and not listed is reported (see `sendProblem`).
 */
export function problemResponses(codes: readonly ErrorCode[]) {
  const byStatus = Object.groupBy(new Set(codes), (code) => String(errorTable[code].status));
  return {
    ...Object.fromEntries(
      Object.entries(byStatus).map(([status, those = []]) => [
        status,
        {
          description: those.map((code) => `\`${code}\`: ${errorTable[code].title}.`).join(" "),
          content: problemContent,
        },
      ]),
    ),
    default: {
      description: "Our own fault, or the database's: docs/errors.md lists the codes.",
      content: problemContent,
    },
  };
}

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

declare module "fastify" {
  interface FastifyContextConfig {
    /** The codes of the refusals that the route's description lists. */
    refuses?: readonly ErrorCode[];
  }
  interface FastifyInstance {
    /** Called with a sentence when a refusal is sent that its route does not list. */
    reportUnlisted: (sentence: string) => void;
  }
}

/** Sends a problem. One that the caller caused must be listed by its route, so that the description is complete. */
export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const { method, url, config } = reply.request.routeOptions;
  if (url !== undefined && problem.status < 500 && !config.refuses?.some((code) => code === problem.code))
    reply.server.reportUnlisted(
      `${String(method)} ${url} answers ${problem.code}, which its description does not list: add it to \`refuses\``,
    );
  return reply.code(problem.status).type("application/problem+json").send(JSON.stringify(problem));
}
