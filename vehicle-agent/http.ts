import { createServer } from "node:http";
import type { Agent } from "./agent.ts";
import type { AgentMetrics } from "./metrics.ts";

export type AgentHttpServer = { url: string; close(): Promise<void> };

/**
 * For the workshop and the car's own screen: `/health`, `/metrics` and `/display`, on loopback only. Reads and
 * never changes anything.
 */
export async function startHttpServer(
  port: number,
  agent: Agent,
  metrics: AgentMetrics,
): Promise<AgentHttpServer> {
  const server = createServer((request, response) => {
    void answer(request.url ?? "/", agent, metrics).then(({ status, type, body }) => {
      response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(body);
    });
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

type Answer = { status: number; type: string; body: string };

async function answer(url: string, agent: Agent, metrics: AgentMetrics): Promise<Answer> {
  const json = (status: number, value: object): Answer => ({
    status,
    type: "application/json",
    body: JSON.stringify(value),
  });
  switch (url.split("?")[0]) {
    case "/health": {
      // An unconnected car is healthy: it keeps its configuration. `connected` tells about the link.
      const { seq: _seq, connection: _connection, ...state } = agent.state();
      return json(200, { vin: agent.vin, ...state });
    }
    case "/display":
      return json(200, { messages: agent.display() });
    case "/metrics":
      return { status: 200, type: metrics.registry.contentType, body: await metrics.registry.metrics() };
    default:
      return json(404, { detail: "there are /health, /metrics and /display" });
  }
}
