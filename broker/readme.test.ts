import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createMetrics } from "./metrics.ts";

const readme = readFileSync(new URL("./README.md", import.meta.url), "utf8");

test("the README lists exactly the broker's own metrics", async () => {
  const { registry } = createMetrics(0, () => 0);
  const own = (await registry.getMetricsAsJSON())
    .map(({ name }) => name)
    .filter((name) => name.startsWith("caas_broker_"));
  const listed = [...readme.matchAll(/^\| `(caas_broker_\w+)` +\|/gm)].map(([, name]) => name);
  expect(listed.toSorted()).toEqual(own.toSorted());
});
