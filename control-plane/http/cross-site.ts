import type { FastifyRequest } from "fastify";

const safeMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * Whether a browser may have sent a request that changes something on behalf of another site. Browsers add the cookie
 * of a session by themselves, so a request that rests on it must show that a page of ours made it: by `Sec-Fetch-Site`,
 * or by an `Origin` that is this host where a browser sends no such header. A token is never sent unasked.
 */
export function isCrossSite(request: FastifyRequest): boolean {
  const { headers } = request;
  if (safeMethods.has(request.method) || headers.authorization !== undefined || headers.cookie === undefined)
    return false;
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site !== "same-origin";
  return headers.origin === undefined || hostOf(headers.origin) !== request.host.toLowerCase();
}

function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}
