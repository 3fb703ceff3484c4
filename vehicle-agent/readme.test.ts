import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { localTopics } from "./adapters/local-apps.ts";
import { lifecycle } from "./change/lifecycle.ts";
import { failpointNames } from "./failpoints.ts";
import { createAgentMetrics } from "./metrics.ts";

const read = (name: string) => readFile(join(import.meta.dirname, name), "utf8");

test("the README shows the lifecycle row by row", async () => {
  const rows = [...(await read("README.md")).matchAll(/^\| (\w+) +\| (\w+) +\| (\w+) +\|$/gm)]
    .map(([, ...cells]) => cells)
    .filter(([state]) => state !== "state");
  expect(rows).toEqual(lifecycle.map((row) => [...row]));
});

test("the README names every topic of the local port", async () => {
  const readme = await read("README.md");
  const { configuration, signal, ...fixed } = localTopics;
  const topics = [...Object.values(fixed), decodeURIComponent(configuration("{code}"))];
  const prefix = signal("Vehicle.Speed").replace("Vehicle.Speed", "{name}");
  for (const topic of [...topics, prefix]) expect(readme).toContain(`\`${topic}\``);
});

test("the README names every metric, failpoint and variable", async () => {
  const readme = await read("README.md");
  const metrics = (await createAgentMetrics().registry.getMetricsAsJSON()).map(({ name }) => name);
  const variables = (await read("config.ts")).match(/\b(CAAS_[A-Z_]+|LOG_LEVEL)(?=:)/g) ?? [];
  expect(variables.length).toBeGreaterThan(5);
  for (const name of [...metrics, ...failpointNames, ...variables]) expect(readme).toContain(`\`${name}`);
});
