import { describe, expect, test } from "vitest";
import { defaultLimits } from "./broker.ts";
import { readConfig, variableNames } from "./config.ts";

const secrets = {
  BROKER_CAR_SECRET: "sixteen characters or more",
  BROKER_CONTROL_PLANE_PASSWORD: "another sixteen characters",
};
const tlsFiles = {
  BROKER_TLS_KEY_FILE: "key.pem",
  BROKER_TLS_CERT_FILE: "cert.pem",
  BROKER_TLS_CLIENT_CA_FILE: "ca.pem",
};

describe("the broker's configuration", () => {
  test("with only the secrets it listens on plain MQTT, loopback, port 1883", () => {
    expect(readConfig(secrets)).toMatchObject({
      status: "valid",
      config: {
        policy: "fleet",
        tcp: { host: "127.0.0.1", port: 1883 },
        tls: undefined,
        metrics: undefined,
        logLevel: "info",
      },
    });
  });

  test("every variable that is set is read", () => {
    const reading = readConfig({
      BROKER_TCP_PORT: "off",
      BROKER_TLS_PORT: "8883",
      ...tlsFiles,
      BROKER_METRICS_PORT: "9100",
      BROKER_METRICS_HOST: "0.0.0.0",
      CAAS_BUSINESS_TIME: "2026-01-01T00:00:00Z/2030-01-01T00:00:00Z/1",
      LOG_LEVEL: "warn",
    });
    expect(reading).toMatchObject({
      status: "valid",
      config: {
        tcp: undefined,
        tls: {
          host: "0.0.0.0",
          port: 8883,
          keyFile: "key.pem",
          certFile: "cert.pem",
          clientCaFile: "ca.pem",
        },
        metrics: { host: "0.0.0.0", port: 9100 },
        passwords: undefined,
        logLevel: "warn",
      },
    });
    const businessYear = reading.status === "valid" ? reading.config.clock.now().getUTCFullYear() : 0;
    expect(businessYear).toBeGreaterThanOrEqual(2030);
  });

  test("every limit can be set, and has its default otherwise", () => {
    const limitNames = variableNames.filter((name) =>
      /^BROKER_(MAX|CONNECT|SOURCE|CAR_(MESSAGE|BYTE)|EVICT|DRAIN)/.test(name),
    );
    const unset = readConfig(secrets);
    expect(unset).toMatchObject({ status: "valid", config: { limits: defaultLimits } });
    const given = Object.fromEntries(limitNames.map((name, index) => [name, String(9_000 + index)]));
    const set = readConfig({ ...secrets, ...given });
    const values = JSON.stringify(set.status === "valid" ? set.config.limits : {});
    expect(limitNames).toHaveLength(19);
    for (const value of Object.values(given)) expect(values).toContain(value);
  });

  test("the open policy needs no secrets", () => {
    expect(readConfig({ BROKER_POLICY: "open", BROKER_TCP_PORT: "0" })).toMatchObject({
      status: "valid",
      config: { policy: "open", tcp: { port: 0 } },
    });
  });

  test.each([
    ["BROKER_TCP_PORT", { BROKER_TCP_PORT: "70000" }],
    ["BROKER_TCP_PORT", { BROKER_TCP_PORT: "-1" }],
    ["BROKER_TCP_HOST", { BROKER_TCP_HOST: "0.0.0.0" }],
    ["BROKER_TCP_HOST", { BROKER_TCP_HOST: "localhost" }],
    ["BROKER_METRICS_PORT", { BROKER_METRICS_PORT: "many" }],
    ["BROKER_CAR_SECRET", { BROKER_CAR_SECRET: "short" }],
    ["BROKER_CAR_SECRET", { BROKER_CAR_SECRET: "" }],
    ["BROKER_CONTROL_PLANE_PASSWORD", { BROKER_CONTROL_PLANE_PASSWORD: undefined }],
    ["BROKER_TLS_KEY_FILE", { BROKER_TLS_PORT: "0", ...tlsFiles, BROKER_TLS_KEY_FILE: undefined }],
    ["BROKER_TLS_PORT", { BROKER_TCP_PORT: "off" }],
    ["BROKER_TLS_HOST", { BROKER_POLICY: "open", BROKER_TLS_HOST: "0.0.0.0" }],
    ["BROKER_POLICY", { BROKER_POLICY: "closed" }],
    ["CAAS_BUSINESS_TIME", { CAAS_BUSINESS_TIME: "tomorrow" }],
    ["LOG_LEVEL", { LOG_LEVEL: "loud" }],
    ["BROKER_MAX_CONNECTIONS", { BROKER_MAX_CONNECTIONS: "0" }],
    ["BROKER_CAR_BYTES_PER_S", { BROKER_CAR_BYTES_PER_S: "1e3" }],
    ["BROKER_EXEMPT_ADDRESSES", { BROKER_EXEMPT_ADDRESSES: "10.0.0.1, control-plane" }],
    ["BROKER_ROOT_PUBLIC_KEY", { BROKER_ROOT_PUBLIC_KEY: "short" }],
    [
      "BROKER_ROOT_PUBLIC_KEY_FILE",
      { BROKER_ROOT_PUBLIC_KEY: "k".repeat(43), BROKER_ROOT_PUBLIC_KEY_FILE: "root.pub" },
    ],
  ])("a bad %s stops the start and is named", (name, change) => {
    const reading = readConfig({ ...secrets, ...change });
    expect(reading.status).toBe("invalid");
    expect(reading.status === "invalid" && reading.explanation).toContain(name);
  });

  test("an explanation never shows the value of a secret", () => {
    const reading = readConfig({ ...secrets, BROKER_CAR_SECRET: "too-short-sec", LOG_LEVEL: "loud" });
    expect(reading.status === "invalid" && reading.explanation).not.toContain("too-short-sec");
  });

  test("with REDIS_URL it is one of several processes", () => {
    expect(readConfig({ ...secrets, REDIS_URL: "rediss://:secret@redis.example:6380/2" })).toMatchObject({
      status: "valid",
      config: { cluster: { url: "rediss://:secret@redis.example:6380/2", prefix: "caas" } },
    });
    expect(readConfig(secrets)).toMatchObject({ status: "valid", config: { cluster: undefined } });
  });

  test.each([
    { env: { REDIS_URL: "http://redis.example" }, names: "REDIS_URL" },
    { env: { REDIS_URL: "redis.example:6379" }, names: "REDIS_URL" },
    { env: { REDIS_URL: "redis://a", BROKER_POLICY: "open" }, names: "REDIS_URL" },
    { env: { REDIS_URL: "redis://a", BROKER_REDIS_PREFIX: "two words" }, names: "BROKER_REDIS_PREFIX" },
  ])("$env is refused, and the variable named", ({ env, names }) => {
    const reading = readConfig({ ...secrets, ...env });
    expect(reading).toMatchObject({ status: "invalid", explanation: expect.stringContaining(names) });
  });
});
