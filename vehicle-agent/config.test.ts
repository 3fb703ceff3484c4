import { describe, expect, test } from "vitest";
import { readConfig } from "./config.ts";
import { failAt, parseFailpoint } from "./failpoints.ts";

describe("the agent's environment", () => {
  test("without variables there are defaults, and an empty variable counts as none", () => {
    const defaults = { LOG_LEVEL: "info" };
    expect(readConfig({})).toMatchObject(defaults);
    const empty = readConfig({
      CAAS_AGENT_HTTP_PORT: "",
      CAAS_AGENT_DATA_DIR: "",
      CAAS_AGENT_BROKER_URL: "",
    });
    expect(empty.CAAS_AGENT_HTTP_PORT).toBeUndefined();
    expect(empty.CAAS_AGENT_DATA_DIR).toBeUndefined();
    expect(empty.CAAS_AGENT_BROKER_URL).toBeUndefined();
  });

  test("valid variables are read", () => {
    expect(
      readConfig({
        CAAS_AGENT_HTTP_PORT: "0",
        CAAS_AGENT_BROKER_URL: "mqtts://127.0.0.1:8883",
        CAAS_BUSINESS_TIME: "2026-01-01T00:00:00Z/2026-01-01T00:00:00Z/10",
        CAAS_AGENT_CRASH_AT: "afterSwitch:2",
        LOG_LEVEL: "debug",
      }),
    ).toMatchObject({
      CAAS_AGENT_HTTP_PORT: 0,
      CAAS_AGENT_BROKER_URL: "mqtts://127.0.0.1:8883",
      CAAS_AGENT_CRASH_AT: { name: "afterSwitch", passage: 2 },
    });
  });

  test.each([
    ["CAAS_AGENT_HTTP_PORT", "http"],
    ["CAAS_AGENT_HTTP_PORT", "65536"],
    ["CAAS_AGENT_HTTP_PORT", "-1"],
    ["CAAS_AGENT_BROKER_URL", "http://127.0.0.1"],
    ["CAAS_AGENT_BROKER_URL", "127.0.0.1:1883"],
    ["CAAS_BUSINESS_TIME", "now"],
    ["CAAS_AGENT_CRASH_AT", "lunch"],
    ["CAAS_AGENT_CRASH_AT", "afterSwitch:0"],
    ["LOG_LEVEL", "loud"],
  ])("%s=%s stops the start and is named", (name, value) => {
    expect(() => readConfig({ [name]: value })).toThrow(name);
  });
});

describe("failpoints", () => {
  test.each([
    ["afterSwitch", { name: "afterSwitch", passage: 1 }],
    ["beforeReport:12", { name: "beforeReport", passage: 12 }],
    ["afterSwitch:", undefined],
    ["afterSwitch:1:1", undefined],
    ["", undefined],
  ])("%s", (text, place) => {
    expect(parseFailpoint(text)).toEqual(place);
  });

  test("fires once, at the n-th passage of its own place", () => {
    let crashes = 0;
    const failpoint = failAt({ name: "afterSwitch", passage: 2 }, () => {
      crashes += 1;
    });
    const seen = (["afterSwitch", "afterIntent", "afterSwitch", "afterSwitch"] as const).map((name) => {
      failpoint(name);
      return crashes;
    });
    expect(seen).toEqual([0, 0, 1, 1]);
  });
});
