import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createMetrics as createBrokerMetrics } from "@caas/broker/metrics.ts";
import { createMetrics } from "@caas/control-plane/metrics/metrics.ts";
import { createRunMetrics } from "@caas/simulator/view/run-metrics.ts";
import { createAgentMetrics } from "@caas/vehicle-agent/metrics.ts";
import { describe, expect, test } from "vitest";
import { portTable } from "../start/ports.ts";
import { root } from "./house/source-files.ts";

const readme = readFileSync(join(root, "dashboards/README.md"), "utf8");

function readSection(title: string): string {
  return readme.split(/^## /m).find((section) => section.startsWith(`${title}\n`)) ?? "";
}

/** Names of our own metrics in Prometheus' text form; the process's default metrics are others' to describe. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/^# HELP (caas_\w+) /gm)].map(([, name = ""]) => name).toSorted();
}

const noDepths = {
  jobs: [],
  manifestsDue: 0,
  activations: [],
  carsOnline: 0,
  openTasks: [],
  notifications: [],
  presumptions: [],
  presumedOpenCents: 0,
};

const parts: readonly { part: string; render: () => Promise<string> }[] = [
  {
    part: "Control plane",
    render: async () =>
      (
        await createMetrics(
          async () => noDepths,
          async () => [],
          async () => ({
            keySetVersion: 1,
            keySetAgeSeconds: 0,
            revocationListVersion: 0,
            revocationListAgeSeconds: 0,
          }),
        ).render()
      ).text,
  },
  { part: "Broker", render: () => createBrokerMetrics(0, () => 0).registry.metrics() },
  { part: "Vehicle agent", render: () => createAgentMetrics().registry.metrics() },
  { part: "Simulator", render: () => createRunMetrics().registry.metrics() },
];

describe("dashboards/README.md", () => {
  test.each(parts)("$part: it lists exactly the metrics that the code serves", async ({ part, render }) => {
    const listed = [...readSection(part).matchAll(/^\| `(caas_\w+)` +\|/gm)].map(([, name = ""]) => name);
    expect(listed.toSorted()).toEqual(namesIn(await render()));
  });

  test("its queries ask for metrics that exist", async () => {
    const existing = (await Promise.all(parts.map(({ render }) => render()))).flatMap(namesIn);
    const queries = /```promql\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
    const asked = [...queries.matchAll(/caas_\w+/g)].map(([name]) => name.replace(/_bucket$/, ""));
    expect(asked.length).toBeGreaterThan(2);
    expect(asked.filter((name) => !existing.includes(name))).toEqual([]);
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
