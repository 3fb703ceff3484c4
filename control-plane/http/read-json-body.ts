import { decodeUtf8 } from "@caas/contract/outside-text.ts";
import type { FastifyError } from "fastify";
import type { Http } from "./server.ts";

/**
 * Takes JSON in UTF-8 and nothing else: another type of body is refused with 415, bytes that are no UTF-8 with 400.
 * Fastify itself would take text/plain, and replace such bytes by other characters without a word. An empty body is
 * no body.
 */
export function readJsonBodies(server: Http): void {
  server.removeAllContentTypeParsers();
  const parseJsonText = server.getDefaultJsonParser("error", "error");
  server.addContentTypeParser<Buffer>("application/json", { parseAs: "buffer" }, (request, bytes, done) => {
    if (bytes.length === 0) return done(null, undefined);
    const text = decodeUtf8(bytes);
    if (text === null) return done(malformed("the body is not UTF-8"), undefined);
    return parseJsonText(request, text, done);
  });
}

function malformed(message: string): FastifyError {
  return Object.assign(new Error(message), { code: "CAAS_MALFORMED", name: "Malformed", statusCode: 400 });
}
