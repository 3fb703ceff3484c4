import { findUnstorableText } from "@caas/contract/outside-text.ts";
import type { FastifyReply, FastifyRequest } from "fastify";
import { problemOfFields, sendProblem } from "./problem.ts";
import type { Http } from "./server.ts";

/**
 * Refuses text that cannot be stored, wherever in a request of a person it is, and names the field. A webhook's body
 * is still bytes here: its sender cannot mend it, so it is made storable when it is parsed.
 */
export function refuseUnstorableText(server: Http): void {
  server.addHook("preValidation", async (request, reply): Promise<FastifyReply | undefined> => {
    const errors = [
      ...findInEscapes(request.url),
      ...findIn("params", request.params),
      ...findIn("querystring", request.query),
      ...findInBody(request),
    ];
    return errors.length === 0 ? undefined : sendProblem(reply, problemOfFields(errors));
  });
}

/** The parser of queries leaves an escape that is no UTF-8 as it is; in the path it is refused already. */
function findInEscapes(url: string): { field: string; message: string }[] {
  const query = url.split("?")[1] ?? "";
  try {
    decodeURIComponent(query);
    return [];
  } catch {
    return [{ field: "querystring", message: "has a % that begins no character of UTF-8" }];
  }
}

function findInBody({ body }: FastifyRequest): { field: string; message: string }[] {
  return typeof body === "string" || body instanceof Uint8Array ? [] : findIn("body", body);
}

function findIn(place: string, value: unknown): { field: string; message: string }[] {
  const found = findUnstorableText(value);
  return found === null ? [] : [{ field: [place, ...found.path].join("."), message: found.message }];
}
