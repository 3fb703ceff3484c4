import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as broker from "@caas/broker/config.ts";
import * as controlPlane from "@caas/control-plane/config.ts";
import * as partners from "@caas/simulator/stand-ins/config.ts";
import * as vehicleAgent from "@caas/vehicle-agent/config.ts";
import { describe, expect, test } from "vitest";
import { portTable } from "../start/ports.ts";
import { root } from "./house/source-files.ts";

/** Read by the tests alone, in test/servers/postgres.ts. */
const variablesOfTests = ["TEST_DATABASE_URL"];

type Entry = { name: string; value: string; isDefault: boolean; comment: string };

/** The entries of a file of `KEY=value` lines, `#KEY=value` for those left out, each below its comment. */
function readExample(text: string): Entry[] {
  const entries: Entry[] = [];
  let comment = "";
  for (const line of text.split("\n")) {
    const found = /^(#?)([A-Z][A-Z0-9_]*)=(.*)$/.exec(line);
    if (found !== null) {
      const [, mark = "", name = "", value = ""] = found;
      entries.push({ name, value: value.replace(/^"(.*)"$/, "$1"), isDefault: mark === "#", comment });
    }
    const prose = /^# (?!──)(.*)$/.exec(line);
    comment = prose === null ? "" : `${comment} ${prose[1]}`.trim();
  }
  return entries;
}

describe(".env.example", () => {
  const entries = readExample(readFileSync(join(root, ".env.example"), "utf8"));
  const shownDefaults = Object.fromEntries(
    entries
      .filter(({ isDefault, value }) => isDefault && value !== "")
      .map(({ name, value }) => [name, value]),
  );

  test("it holds every variable that a part reads, once, and no other", () => {
    const read = new Set([
      ...controlPlane.configurationKeys,
      ...broker.variableNames,
      ...vehicleAgent.variableNames,
      ...partners.variableNames,
      ...Object.values(portTable).map(({ variable }) => variable),
      ...variablesOfTests,
    ]);
    expect(entries.map(({ name }) => name).toSorted()).toEqual([...read].toSorted());
  });

  test("a comment explains each of them", () => {
    expect(entries.filter(({ comment }) => comment.length < 20)).toEqual([]);
  });

  test("the ports that `npm start` takes are those of its table", () => {
    for (const { variable, port } of Object.values(portTable)) {
      const comment = entries.find(({ name }) => name === variable)?.comment;
      expect([variable, comment]).toEqual([variable, expect.stringContaining(`(npm start: ${port})`)]);
    }
  });

  const secret = `whsec_${Buffer.alloc(32).toString("base64")}`;
  const sharedWithPartners = {
    FACTORY_API_KEY: "12345678",
    FACTORY_WEBHOOK_SECRET: secret,
    GATEWAY_API_KEY: "12345678",
    GATEWAY_WEBHOOK_SECRET: secret,
    VSS_API_KEY: "12345678",
    AUTHORITY_API_KEY: "12345678",
    TRANSPORT_API_KEY: "12345678",
    TRANSPORT_WEBHOOK_SECRET: secret,
  };
  const needed = {
    ...sharedWithPartners,
    DATABASE_URL: "postgres://localhost/caas",
    SESSION_SECRET: secret,
    ENROLMENT_SECRET: secret,
    KEYS_DIR: "data/keys",
    MQTT_URL: "mqtt://127.0.0.1:1883",
    FACTORY_URL: "http://127.0.0.1:1",
    GATEWAY_URL: "http://127.0.0.1:1",
    VSS_URL: "http://127.0.0.1:1",
    AUTHORITY_URL: "http://127.0.0.1:1",
    TRANSPORT_URL: "http://127.0.0.1:1",
    SMTP_URL: "smtp://127.0.0.1:1",
    BROKER_CONTROL_PLANE_PASSWORD: secret,
  };

  test("what it says must be set is what stops the parts when it is missing", () => {
    expect(
      entries
        .filter(({ isDefault }) => !isDefault)
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(Object.keys(needed).toSorted());
    const judge = (without: string) => {
      const environment = { ...needed, BROKER_CAR_SECRET: secret, [without]: "" };
      return [controlPlane.readConfig(environment).kind, broker.readConfig(environment).status];
    };
    expect(judge("NOTHING")).toEqual(["valid", "valid"]);
    for (const name of Object.keys(needed)) expect(judge(name), `without ${name}`).toContain("invalid");
  });

  test.each([
    ["control plane", controlPlane.readConfig],
    ["broker", broker.readConfig],
    ["vehicle agent", vehicleAgent.readConfig],
    ["stand-ins", partners.readConfig],
  ])("setting every default it shows changes nothing for the %s", (_part, readConfig) => {
    const given = { ...needed, BROKER_CAR_SECRET: secret };
    expect(readConfig({ ...given, ...shownDefaults })).toEqual(readConfig(given));
  });
});

test("the list of decisions names every decision by its title, in order", () => {
  const folder = join(root, "docs/adr");
  const decisions = readdirSync(folder)
    .filter((name) => /^\d{4}-/.test(name))
    .toSorted()
    .map((name) => {
      const [, number = "", title = ""] =
        /^# (\d+)\. (.+)$/m.exec(readFileSync(join(folder, name), "utf8")) ?? [];
      return { number, name, title };
    });
  const list = readFileSync(join(folder, "README.md"), "utf8");
  const listed = [...list.matchAll(/^\| \[(\d+)\]\(([^)]+)\) +\| (.+?) +\|$/gm)].map(
    ([, number = "", name = "", title = ""]) => ({ number, name, title }),
  );
  expect(decisions.length).toBeGreaterThan(10);
  expect(listed).toEqual(decisions);
  expect(decisions.map(({ number }) => Number(number))).toEqual(decisions.map((_, index) => index + 1));
});
