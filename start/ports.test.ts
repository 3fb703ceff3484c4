import { once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { choosePorts, StartRefused } from "./ports.ts";

test("free ports are all different, and none that the system gives to outgoing connections", async () => {
  const ports = Object.values(await choosePorts("free", { HTTP_PORT: "8080" }));
  expect(new Set(ports).size).toBe(ports.length);
  expect(ports.filter((port) => port < 20_000 || port >= 32_000)).toEqual([]);
});

test("a taken port is refused with the port, what it is for, and the variable that changes it", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const taken = address === null || typeof address === "string" ? 0 : address.port;
  const free = Object.fromEntries(
    ["BROKER_TCP_PORT", "BROKER_TLS_PORT", "BROKER_METRICS_PORT", "CAAS_AGENT_HTTP_PORT"].map((name) => [
      name,
      "0",
    ]),
  );
  const rest = { DEMO_CARS_HTTP_PORT: "0", INBOX_HTTP_PORT: "0", INBOX_SMTP_PORT: "0" };
  const choosing = choosePorts("default", { ...free, ...rest, HTTP_PORT: String(taken) });
  await expect(choosing).rejects.toThrow(
    `Port ${taken} (REST interface) is taken by another program. Set HTTP_PORT to another port`,
  );
  server.close();
});

test.each(["eighty", "70000", "-1", "80.5"])("%s is no port", async (text) => {
  const choosing = choosePorts("default", { INBOX_HTTP_PORT: text });
  await expect(choosing).rejects.toThrow(StartRefused);
  await expect(choosing).rejects.toThrow(
    `INBOX_HTTP_PORT must be a port, 0 (any free one) to 65535; it is "${text}".`,
  );
});
