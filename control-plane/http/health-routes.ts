import * as z from "zod";
import type { Http } from "./server.ts";

const healthSchema = z.object({ status: z.literal("ok") });
const readySchema = z.object({ ready: z.boolean(), database: z.boolean(), broker: z.boolean() });

export type Readiness = { database(): Promise<boolean>; broker(): boolean };

/** `/health`: the process answers. `/ready`: so do the database and the broker behind it. */
export function healthRoutes(server: Http, readiness: Readiness): void {
  const tags = ["operations"];
  server.get(
    "/health",
    {
      schema: {
        tags,
        summary: "Is the process alive",
        description: "Answers as long as the process does.",
        security: [],
        operationId: "isTheProcessAlive",
        response: { 200: healthSchema },
      },
    },
    () => ({ status: "ok" as const }),
  );
  server.get(
    "/ready",
    {
      schema: {
        tags,
        summary: "Is the platform ready",
        description: "Whether the database and the broker can be reached; 503 while one cannot.",
        security: [],
        operationId: "isThePlatformReady",
        response: { 200: readySchema, 503: readySchema },
      },
    },
    async (_request, reply) => {
      const database = await readiness.database();
      const broker = readiness.broker();
      const ready = database && broker;
      return reply.code(ready ? 200 : 503).send({ ready, database, broker });
    },
  );
}

/** `/metrics`, in Prometheus' text form. */
export function metricsRoute(
  server: Http,
  render: () => Promise<{ contentType: string; text: string }>,
): void {
  server.get(
    "/metrics",
    {
      schema: {
        tags: ["operations"],
        summary: "Scrape the metrics",
        description: "In Prometheus' text form.",
        operationId: "scrapeTheMetrics",
        security: [],
      },
    },
    async (_request, reply) => {
      const { contentType, text } = await render();
      return reply.type(contentType).send(text);
    },
  );
}

/** Records how long each request took, by route and status. */
export function timeRequests(
  server: Http,
  observe: (seconds: number, labels: { method: string; route: string; status: string }) => void,
): void {
  server.addHook("onResponse", async (request, reply) => {
    // The route's pattern, not the address: addresses hold ids, and every label value is kept forever.
    const route = request.routeOptions.url ?? "none";
    observe(reply.elapsedTime / 1_000, { method: request.method, route, status: String(reply.statusCode) });
  });
}
