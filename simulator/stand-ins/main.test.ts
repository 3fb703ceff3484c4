import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import * as z from "zod";

const program = fileURLToPath(new URL("main.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "caas-partners-"));
afterAll(() => rmSync(folder, { recursive: true }));

const environment = {
  PATH: process.env.PATH,
  PARTNERS_DATA_DIR: join(folder, "data"),
  FACTORY_API_KEY: "factory-key",
  FACTORY_WEBHOOK_SECRET: "whsec_ZmFjdG9yeS1zZWNyZXQ=",
  GATEWAY_API_KEY: "sk_test_gateway",
  GATEWAY_WEBHOOK_SECRET: "whsec_gateway",
  VSS_API_KEY: "vss-key-1",
  AUTHORITY_API_KEY: "authority-key",
  TRANSPORT_API_KEY: "transport-key",
  TRANSPORT_WEBHOOK_SECRET: "dHJhbnNwb3J0LXNlY3JldA==",
  CAAS_BUSINESS_TIME: "2026-01-01T00:00:00Z/2030-05-01T00:00:00Z/1",
};
const readySchema = z.strictObject({
  ready: z.literal(true),
  addresses: z.record(z.string(), z.string()),
});

function run(changes: NodeJS.ProcessEnv = {}, stdio: "pipe" | "ipc" = "pipe") {
  const child = spawn(process.execPath, [program], {
    env: { ...environment, ...changes },
    stdio: stdio === "ipc" ? ["ignore", "pipe", "pipe", "ipc"] : ["pipe", "pipe", "pipe"],
  });
  const ended = once(child, "exit").then(([code]: unknown[]) => code);
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error("the program has no output");
  return { child, ended, output: text(stdout), errors: text(stderr), stdout };
}

/** The addresses in the line it prints once it is up. */
async function waitUntilReady(stdout: NodeJS.ReadableStream): Promise<Record<string, string>> {
  const [line] = await once(stdout, "data");
  return readySchema.parse(JSON.parse(String(line))).addresses;
}

describe("caas-partners", () => {
  const endings: [string, "pipe" | "ipc", (child: ChildProcess) => void][] = [
    ["SIGTERM", "pipe", (child) => child.kill("SIGTERM")],
    ["SIGINT", "pipe", (child) => child.kill("SIGINT")],
    ["the end of its input", "pipe", (child) => child.stdin?.end()],
    ["the end of its starter's channel", "ipc", (child) => child.disconnect()],
  ];
  test.each(endings)(
    "says where everything listens in one line, and ends cleanly on %s",
    async (_how, stdio, end) => {
      const { child, ended, stdout, output } = run({}, stdio);
      const addresses = await waitUntilReady(stdout);
      expect(Object.keys(addresses).toSorted()).toEqual(
        ["authority", "factory", "gateway", "inbox", "smtp", "transport", "vss"].toSorted(),
      );
      const health = await fetch(`${addresses.factory}/health`);
      expect(health.status).toBe(200);
      end(child);
      expect(await ended).toBe(0);
      expect((await output).trim().split("\n")).toHaveLength(1);
      expect(readdirSync(environment.PARTNERS_DATA_DIR)).toContain("factory.db");
    },
  );

  test("keeps business time: the factory accepts an order on the platform's day", async () => {
    const { child, ended, stdout } = run();
    const addresses = await waitUntilReady(stdout);
    const response = await fetch(`${addresses.factory}/v1/orders`, {
      method: "POST",
      headers: { authorization: "Bearer factory-key", "content-type": "application/json" },
      body: JSON.stringify({ reference: "exp-1", configuration: { base: "compact", options: [] } }),
    });
    const { acceptedAt } = z.looseObject({ acceptedAt: z.string() }).parse(await response.json());
    expect(Date.parse(acceptedAt)).toBeGreaterThan(Date.parse("2030-05-01T00:00:00Z"));
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
  });

  test("does not start with a bad variable, and names it", async () => {
    const { ended, errors, output } = run({ FACTORY_PORT: "eighty", VSS_API_KEY: "" });
    expect(await ended).toBe(1);
    expect(await errors).toMatch(/FACTORY_PORT.*VSS_API_KEY/s);
    expect(await output).toBe("");
  });
});
