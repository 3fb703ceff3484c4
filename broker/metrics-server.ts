import { createServer, type Server, type ServerResponse } from "node:http";
import type { Registry } from "prom-client";

/** `redis` where several processes share one. */
export type Readiness = { isReady: boolean; redis?: "up" | "down" };

/** Serves `/metrics` for Prometheus and `/health` (200, or 503 while not ready). Not yet listening. */
export function createMetricsServer(registry: Registry, readiness: () => Readiness): Server {
  const server = createServer((request, response) => {
    const path = request.url?.split("?")[0];
    if (request.method !== "GET" && request.method !== "HEAD")
      answer(response, 405, "text/plain", "GET only\n");
    else if (path === "/health") {
      const { isReady, ...more } = readiness();
      const body = JSON.stringify({ status: isReady ? "ok" : "unavailable", ...more });
      answer(response, isReady ? 200 : 503, "application/json", body);
    } else if (path === "/metrics")
      registry.metrics().then(
        (text) => answer(response, 200, registry.contentType, text),
        () => answer(response, 500, "text/plain", "metrics could not be collected\n"),
      );
    else answer(response, 404, "text/plain", "try /metrics or /health\n");
  });
  return server;
}

function answer(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { "content-type": contentType }).end(body);
}
