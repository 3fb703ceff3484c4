import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { portTable } from "../start/ports.ts";
import { namesIn, servedMetrics, servingParts } from "./house/served-metrics.ts";
import { root } from "./house/source-files.ts";

const readme = readFileSync(join(root, "dashboards/README.md"), "utf8");

function readSection(title: string): string {
  return readme.split(/^## /m).find((section) => section.startsWith(`${title}\n`)) ?? "";
}

describe("dashboards/README.md", () => {
  test.each(servingParts)(
    "$part: it lists exactly the metrics that the code serves",
    async ({ part, render }) => {
      const listed = [...readSection(part).matchAll(/^\| `(caas_\w+)` +\|/gm)].map(([, name = ""]) => name);
      expect(listed.toSorted()).toEqual(namesIn(await render()));
    },
  );

  test("its queries ask for metrics that exist", async () => {
    const existing = await servedMetrics();
    const queries = /```promql\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
    const asked = [...queries.matchAll(/caas_\w+/g)].map(([name]) => name.replace(/_bucket$/, ""));
    expect(asked.length).toBeGreaterThan(2);
    expect(asked.filter((name) => !existing.has(name))).toEqual([]);
  });
});

describe("dashboards/prometheus/prometheus.yml", () => {
  test("it scrapes every part on the port that `npm start` gives it", () => {
    const file = readFileSync(join(root, "dashboards/prometheus/prometheus.yml"), "utf8");
    const targets = [...file.matchAll(/targets: \["127\.0\.0\.1:(\d+)"\]/g)].map(([, port]) => Number(port));
    const { rest, brokerMetrics, carMetrics, fleetMetrics } = portTable;
    expect(targets).toEqual([rest.port, brokerMetrics.port, carMetrics.port, fleetMetrics.port]);
  });
});
