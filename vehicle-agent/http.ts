import { createServer } from "node:http";
import { isLoopbackHost } from "@caas/contract/loopback-host.ts";
import type { Registry } from "prom-client";
import type { Agent } from "./agent.ts";
import { renderDisplay } from "./display-page.ts";
import type { AgentMetrics } from "./metrics.ts";

export type LoopbackServer = { url: string; close(): Promise<void> };
export type Answer = { status: number; type: string; body: string };

/** Nothing that a page shows may run or fetch anything. */
const policy = "default-src 'none'; style-src 'unsafe-inline'";

/** Answers each path over HTTP on loopback; a browser wants a page, a program does not. @param port 0 takes a free one @throws when the port is taken */
export async function serveOnLoopback(
  port: number,
  answer: (path: string, asked: { wantsPage: boolean }) => Promise<Answer>,
): Promise<LoopbackServer> {
  const server = createServer((request, response) => {
    const path = request.url?.split("?")[0] ?? "/";
    const wantsPage = request.headers.accept?.includes("text/html") ?? false;
    const answered = isLoopbackHost(request.headers.host)
      ? answer(path, { wantsPage })
      : Promise.resolve(foreignHost);
    answered.then(
      ({ status, type, body }) =>
        response
          .writeHead(status, {
            "content-type": type,
            "cache-control": "no-store",
            "content-security-policy": policy,
          })
          .end(body),
      () => response.writeHead(500).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the HTTP port has no number");
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function answerJson(status: number, value: object): Answer {
  return { status, type: "application/json", body: JSON.stringify(value) };
}

const foreignHost = answerJson(421, {
  detail: "this page is for this machine: ask for it as 127.0.0.1 or localhost",
});

/** The metrics as Prometheus reads them. */
export async function answerMetrics(registry: Registry): Promise<Answer> {
  return { status: 200, type: registry.contentType, body: await registry.metrics() };
}

/** For the workshop and the car's own screen: `/health`, `/metrics` and `/display`, in a browser a page. Reads and never changes anything. */
export function startHttpServer(port: number, agent: Agent, metrics: AgentMetrics): Promise<LoopbackServer> {
  return serveOnLoopback(port, (path, { wantsPage }) => answer(path, wantsPage, agent, metrics));
}

async function answer(
  path: string,
  wantsPage: boolean,
  agent: Agent,
  metrics: AgentMetrics,
): Promise<Answer> {
  if (wantsPage && (path === "/" || path === "/display"))
    return { status: 200, type: "text/html; charset=utf-8", body: renderDisplay(agent.vin, agent.display()) };
  switch (path) {
    case "/health": {
      // An unconnected car is healthy: it keeps its configuration. `connected` tells about the link.
      const { seq: _seq, connection: _connection, ...state } = agent.state();
      return answerJson(200, { vin: agent.vin, ...state });
    }
    case "/display":
      return answerJson(200, { messages: agent.display() });
    case "/metrics":
      return answerMetrics(metrics.registry);
    default:
      return answerJson(404, { detail: "there are /health, /metrics and /display" });
  }
}
