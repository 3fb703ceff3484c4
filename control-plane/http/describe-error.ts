import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { FastifyError, FastifyRequest } from "fastify";
import { hasZodFastifySchemaValidationErrors } from "fastify-type-provider-zod";
import { isDatabaseUnavailable } from "../store/database-errors.ts";
import type { ErrorCode } from "./error-table.ts";
import { type Problem, problemOf, problemOfFields } from "./problem.ts";
import { longestKey } from "./route-description.ts";

const codeOfFastify: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "payloadTooLarge",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "unsupportedMediaType",
  FST_ERR_MAX_PARAM_LENGTH: "addressTooLong",
  CAAS_TOO_MANY_REQUESTS: "tooManyRequests",
};

/** The problem of a request that failed, before its route ran or in it; ours to mend is logged. */
export function describeError(error: FastifyError, request: FastifyRequest): Problem {
  if (hasZodFastifySchemaValidationErrors(error)) {
    if (error.validationContext === "headers")
      return problemOf("idempotencyKeyMissing", sayWhatKeyLacks(request.headers["idempotency-key"]));
    const errors = error.validation.flatMap(({ instancePath, params, message = "is not valid" }) => {
      const path = [
        error.validationContext ?? "body",
        ...instancePath.split("/").filter((name) => name !== ""),
      ];
      // An unknown field is reported on its object; callers look for the field itself.
      const unknown: unknown = "keys" in params ? params.keys : undefined;
      const names = Array.isArray(unknown) ? unknown.map((name) => [...path, String(name)]) : [path];
      return names.map((name) => ({ field: name.join("."), message }));
    });
    return problemOfFields(errors);
  }
  const known = codeOfFastify[error.code];
  if (known !== undefined) return problemOf(known, error.message);
  if (error.statusCode !== undefined && error.statusCode < 500) return problemOf("badRequest", error.message);
  if (isDatabaseUnavailable(error)) {
    request.log.warn({ err: error }, "the database cannot be reached");
    return problemOf("databaseUnavailable", "nothing was changed; try again with the same Idempotency-Key");
  }
  request.log.error({ err: error, method: request.method, url: request.url }, "a request failed");
  return problemOf("internal", `the request failed; our log has it under ${request.id}`);
}

/** The only header that routes describe. */
function sayWhatKeyLacks(given: unknown): string {
  const wanted = `send one of 1 to ${longestKey} characters, new for each intent`;
  if (given === undefined) return `the Idempotency-Key header is missing: ${wanted}`;
  return given === ""
    ? `the Idempotency-Key header is empty: ${wanted}`
    : `the Idempotency-Key header is too long: ${wanted}`;
}

/** Answers what is not HTTP, too long or too slow for Node's parser: no request and no reply exist then. */
export function answerOnSocket(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const problem = problemOfParser(error.code);
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ""}\r\ncontent-type: application/problem+json\r\n` +
      `cache-control: no-store\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function problemOfParser(code: string | undefined): Problem {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return problemOf("requestTimeout", "the request was not sent in time");
    case "HPE_HEADER_OVERFLOW":
      return problemOf("headersTooLarge", "send fewer or shorter headers");
    default:
      return problemOf("badRequest", "this is not an HTTP request");
  }
}
