import { pino } from "pino";
import { expect, test } from "vitest";
import { frontPage } from "./front-page.ts";
import { healthRoutes, metricsRoute } from "./health-routes.ts";
import { createServer } from "./server.ts";

test("the address of the control plane says what it is, and its links lead somewhere [N17]", async () => {
  const server = await createServer({ logger: pino({ level: "silent" }), version: "1.2.3" });
  frontPage(server, "1.2.3");
  healthRoutes(server, { broker: () => true, database: async () => true });
  metricsRoute(server, async () => ({ contentType: "text/plain", text: "" }));
  const { statusCode, headers, body } = await server.inject("/");
  expect(statusCode).toBe(200);
  expect(headers["content-type"]).toBe("text/html; charset=utf-8");
  expect(headers["content-security-policy"]).toContain("default-src 'self'");
  expect(body).toContain("Version 1.2.3");
  const links = [...body.matchAll(/href="([^"]+)"/g)].map(([, path = ""]) => path);
  expect(links.length).toBeGreaterThan(3);
  for (const path of links) expect([path, (await server.inject(path)).statusCode]).toEqual([path, 200]);
  await server.close();
});
