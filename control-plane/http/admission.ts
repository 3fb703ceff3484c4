import type { FastifyReply, FastifyRequest } from "fastify";
import * as z from "zod";
import type { Access, Relation } from "./access-table.ts";
import { isCrossSite } from "./cross-site.ts";
import type { Principal } from "./principal.ts";
import { problemOfRefusal, sendProblem } from "./problem.ts";
import { type Refusal, refuse } from "./refusal.ts";
import { type CheckRelation, createRelationCheck } from "./relation.ts";
import type { Routing } from "./routes.ts";
import type { Caller } from "./sessions.ts";

export function headersOf(request: FastifyRequest): Headers {
  const headers = new Headers();
  // A token decides alone, so that a request with both never rests on the cookie.
  const proof = request.headers.authorization === undefined ? "cookie" : "authorization";
  for (const name of [proof, "user-agent", "origin"]) {
    const value = request.headers[name];
    if (typeof value === "string") headers.set(name, value);
  }
  return headers;
}

/** Where a request with a password comes from. */
export function callerOf(request: FastifyRequest): Caller {
  return { headers: headersOf(request), address: request.ip };
}

const admittedBy = new WeakMap<FastifyRequest, Principal>();

/** @throws Error for a request that `admitTo` has not let in */
export function principalOf(request: FastifyRequest): Principal {
  const principal = admittedBy.get(request);
  if (principal === undefined) throw new Error("a request reached its handler without being admitted");
  return principal;
}

/** Runs before the body is validated: a caller that may not use a route learns nothing about what it takes. */
export function admitTo(routing: Routing, access: Access) {
  const isRelated = createRelationCheck(routing.db);
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    const admitted = await admit(routing, access, isRelated, request);
    if (admitted.kind === "refused") return sendProblem(reply, problemOfRefusal(admitted));
    admittedBy.set(request, admitted.principal);
    // No body says as much as an empty one: what is missing is named field by field.
    if (request.method === "POST" && request.body === undefined) request.body = {};
    return undefined;
  };
}

async function admit(
  routing: Routing,
  access: Access,
  isRelated: CheckRelation,
  request: FastifyRequest,
): Promise<{ kind: "admitted"; principal: Principal } | Refusal> {
  if (access.kind === "public")
    throw new Error("a public route has no principal: register it on the server itself");
  if (isCrossSite(request))
    return refuse(
      "crossSite",
      "only our own pages may use the session's cookie; programs send the token instead",
    );
  const principal = await routing.sessions.principalOf(headersOf(request));
  if (principal === null) return refuse("notSignedIn", "sign in at POST /api/sign-in and send its token");
  const relation: Relation | undefined = access.roles[principal.role];
  if (relation === undefined) {
    const allowed = Object.keys(access.roles).join(", ");
    return refuse("forbidden", `the role ${principal.role} may not do this; it takes ${allowed}`);
  }
  const parameters = z.record(z.string(), z.string()).parse(request.params);
  if (!(await isRelated(principal, relation, parameters)))
    return refuse("notFound", "there is no such thing, or it is not yours to see");
  return { kind: "admitted", principal };
}
