import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readConfig, variableNames } from "./config.ts";

const good = {
  FACTORY_API_KEY: "factory-key",
  FACTORY_WEBHOOK_SECRET: "whsec_ZmFjdG9yeS1zZWNyZXQ=",
  GATEWAY_API_KEY: "sk_test_gateway",
  GATEWAY_WEBHOOK_SECRET: "whsec_gateway",
  VSS_API_KEY: "vss-key-1",
  AUTHORITY_API_KEY: "authority-key",
  TRANSPORT_API_KEY: "transport-key",
  TRANSPORT_WEBHOOK_SECRET: "dHJhbnNwb3J0LXNlY3JldA==",
};

test("keys and secrets are enough: any free ports, the usual folder, no wait between milestones", () => {
  expect(readConfig(good)).toMatchObject({
    dataDir: "data/partners",
    webhookBaseUrl: null,
    factory: { port: 0, apiKey: "factory-key", milestoneDelayMs: 0 },
    inbox: { smtpPort: 0, httpPort: 0 },
  });
});

test("variables that are set are used", () => {
  const config = readConfig({
    ...good,
    WEBHOOK_BASE_URL: "http://127.0.0.1:3000/",
    FACTORY_PORT: "4001",
    MILESTONE_DELAY_MS: "250",
    STEP_DELAY_MS: "100",
    INBOX_SMTP_PORT: "2525",
    CAAS_BUSINESS_TIME: "2026-01-01T00:00:00Z/2030-05-01T00:00:00Z/1",
  });
  expect(config).toMatchObject({
    webhookBaseUrl: "http://127.0.0.1:3000",
    factory: { port: 4001, milestoneDelayMs: 250 },
    transport: { stepDelayMs: 100 },
    inbox: { smtpPort: 2525 },
  });
  expect(config.clock?.now().getUTCFullYear()).toBeGreaterThanOrEqual(2030);
});

test.each([
  ["FACTORY_PORT", "eighty"],
  ["VSS_PORT", "70000"],
  ["GATEWAY_API_KEY", ""],
  ["AUTHORITY_API_KEY", "short"],
  ["TRANSPORT_WEBHOOK_SECRET", "%%%"],
  ["WEBHOOK_BASE_URL", "localhost"],
  ["MILESTONE_DELAY_MS", "-1"],
  ["CAAS_BUSINESS_TIME", "tomorrow"],
])("a bad %s (%s) is refused by name, and no other is blamed", (variable, value) => {
  const complaint = () => readConfig({ ...good, [variable]: value });
  expect(complaint).toThrow(variable);
  const others = variableNames.filter((name) => name !== variable);
  for (const other of others) expect(complaint).not.toThrow(other);
});

test("the README names every variable", () => {
  const readme = readFileSync(new URL("README.md", import.meta.url), "utf8");
  expect(variableNames.filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
});
