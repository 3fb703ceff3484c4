import type { FastifyReply, FastifyRequest } from "fastify";
import { problemOf, sendProblem } from "./problem.ts";
import type { Http } from "./server.ts";

/**
 * 404 for an address that nothing answers, 405 with the methods that it takes for one that something does. To be
 * called before the first route.
 */
export function answerUnknownRoutes(server: Http): void {
  const routes: { pattern: readonly string[]; method: string }[] = [];
  server.addHook("onRoute", ({ url, method }) => {
    for (const one of [method].flat()) routes.push({ pattern: url.split("/"), method: one });
  });
  server.setNotFoundHandler((request: FastifyRequest, reply: FastifyReply) => {
    const path = request.url.split("?")[0] ?? "";
    const methods = routes
      .filter(({ pattern }) => fits(path.split("/"), pattern))
      .map(({ method }) => method);
    if (methods.length === 0)
      return sendProblem(reply, problemOf("notFound", `${request.method} ${path} does not exist`));
    const allowed = [...new Set(methods)].sort().join(", ");
    return sendProblem(
      reply.header("allow", allowed),
      problemOf("methodNotAllowed", `${path} takes ${allowed}, not ${request.method}`),
    );
  });
}

function fits(path: readonly string[], pattern: readonly string[]): boolean {
  return (
    path.length === pattern.length &&
    pattern.every((part, index) => part === path[index] || (part.startsWith(":") && path[index] !== ""))
  );
}
