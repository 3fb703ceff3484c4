import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { defaultCheckBudgetMs } from "@caas/control-plane/partners/vss.ts";
import { metricTable } from "@caas/control-plane/rules/metric-table.ts";
import { alertsFor } from "@caas/dashboards/alerts.ts";
import { buildBoard } from "@caas/dashboards/board.ts";
import { recordingsFor, shippedRules } from "@caas/dashboards/rules-file.ts";
import { targets } from "@caas/simulator/report/targets.ts";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import * as z from "zod";
import { findOrInstall } from "../lab/debian-packages.ts";
import { listProducibleSeries, readSeries, servedMetrics } from "./house/served-metrics.ts";
import { root } from "./house/source-files.ts";

const execute = promisify(execFile);
const folder = join(root, "dashboards");
const read = (path: string): unknown => parse(readFileSync(join(folder, path), "utf8"));
const promtool = await findOrInstall("promtool", "prometheus");
const whyNoPromtool = promtool.kind === "missing" ? promtool.explanation : "";
const alerts = alertsFor(shippedRules.windows, shippedRules.steady);

const panelSchema = z.object({
  title: z.string(),
  type: z.string(),
  description: z.string().optional(),
  datasource: z.object({ uid: z.string() }).optional(),
  fieldConfig: z.object({ defaults: z.object({ unit: z.string().optional() }) }).optional(),
  options: z
    .looseObject({ legend: z.object({ showLegend: z.boolean(), displayMode: z.string() }).optional() })
    .optional(),
  targets: z
    .array(
      z.object({ expr: z.string(), legendFormat: z.string(), datasource: z.object({ uid: z.string() }) }),
    )
    .optional(),
});
const variableSchema = z.looseObject({ name: z.string(), type: z.string(), query: z.string() });

const boardPanels = z.array(panelSchema).parse(JSON.parse(JSON.stringify(buildBoard().panels)));

/** The metrics that an expression asks for; recorded names have a colon and are not ours to serve. */
function metricsIn(expr: string): string[] {
  return [...expr.matchAll(/(?<![\w:])caas_\w+/g)].map(([name]) => name.replace(/_(bucket|sum|count)$/, ""));
}

describe("board and alerts ask for what there is", () => {
  test.each([
    ...boardPanels.flatMap(({ title, targets: queries = [] }) =>
      queries.map(({ expr }) => ({ what: `panel ${title}`, expr })),
    ),
    ...alerts.map(({ name, expr }) => ({ what: `alert ${name}`, expr })),
    ...recordingsFor(shippedRules.windows).map(({ record, expr }) => ({ what: record, expr })),
  ])("$what", async ({ expr }) => {
    const served = await servedMetrics();
    expect(metricsIn(expr).filter((name) => !served.has(name))).toEqual([]);
  });

  test("each panel draws something, from the one source that the person looking picks [N11]", () => {
    const source = z
      .object({ datasources: z.array(z.object({ type: z.string(), isDefault: z.boolean() })) })
      .parse(read("grafana/provisioning/datasources/prometheus.yml")).datasources[0];
    const variables = z
      .array(variableSchema)
      .parse(JSON.parse(JSON.stringify(buildBoard().templating?.list)));
    expect(variables).toMatchObject([{ name: "datasource", type: "datasource", query: source?.type }]);
    expect(source?.isDefault).toBe(true);
    const drawn = boardPanels.filter(({ targets: queries }) => queries !== undefined);
    expect(drawn.length).toBeGreaterThan(12);
    for (const panel of drawn) {
      expect(panel.targets?.length, panel.title).toBeGreaterThan(0);
      for (const { datasource } of [panel, ...(panel.targets ?? [])])
        expect(datasource?.uid, panel.title).toBe(`\${datasource}`);
    }
  });

  test("each panel has a unit and says what it shows, and each time series names its lines [N11]", () => {
    for (const { title, type, description, fieldConfig, options, targets: queries = [] } of boardPanels) {
      if (type === "row") continue;
      expect(description?.length, title).toBeGreaterThan(15);
      expect(fieldConfig?.defaults.unit, title).toMatch(/^(ops|s|short|percentunit)$/);
      for (const { legendFormat } of queries) expect(legendFormat, title).not.toBe("");
      expect(new Set(queries.map(({ legendFormat }) => legendFormat)).size, title).toBe(queries.length);
      if (type !== "timeseries") continue;
      expect(options?.legend, title).toMatchObject({ showLegend: true, displayMode: "list" });
    }
    expect(boardPanels.filter(({ type }) => type === "timeseries").length).toBeGreaterThan(12);
  });

  test("denials are on the board [N10]", () => {
    const drawn = boardPanels.flatMap(({ targets: queries = [] }) => queries.map(({ expr }) => expr));
    expect(drawn.some((expr) => expr.includes('caas_activation_moves_total{to="ServiceDenied"}'))).toBe(true);
  });

  test("the compose file mounts what there is, where provisioning looks for it", () => {
    const { services } = z
      .object({ services: z.record(z.string(), z.object({ volumes: z.array(z.string()) })) })
      .parse(read("compose.yaml"));
    const mounts = Object.values(services).flatMap(({ volumes }) => volumes.map((one) => one.split(":")));
    for (const [from = ""] of mounts) expect(readdirSync(join(folder, from)).length).toBeGreaterThan(0);
    const { providers } = z
      .object({ providers: z.array(z.object({ options: z.object({ path: z.string() }) })) })
      .parse(read("grafana/provisioning/dashboards/caas.yml"));
    expect(mounts.map(([, to]) => to)).toContain(providers[0]?.options.path);
  });
});

describe("targets are the specification's", () => {
  test("the simulator, which judges by its own copy, has the same", () => {
    expect({ above: metricTable.ME7.target.above }).toEqual(targets.otaFirstAttempt.bound);
    expect({ above: metricTable.ME8.target.above }).toEqual(targets.otaAfterRetries.bound);
    expect({ belowMs: metricTable.ME10.target.belowSeconds * 1000 }).toEqual(targets.maintenanceCheck.bound);
  });

  test.each([
    { what: "first attempts", row: "ME7", bound: `<= ${metricTable.ME7.target.above} ` },
    { what: "activations", row: "ME8", bound: `<= ${metricTable.ME8.target.above} ` },
  ])("the share of $what that succeed is watched by an alert at its bound", ({ row, bound }) => {
    const watching = alerts.filter(({ rows }) => rows.includes(row));
    expect(watching.map(({ expr }) => expr.includes(bound))).toEqual([true]);
  });

  test("the maintenance check is watched by the share that we gave up on, since none takes as long as its bound [N10]", () => {
    expect(defaultCheckBudgetMs).toBeLessThan(metricTable.ME10.target.belowSeconds * 1000);
    const watching = alerts.filter(({ rows }) => rows.includes("ME10"));
    expect(watching.map(({ name }) => name)).toEqual([
      "MaintenanceCheckUnanswered",
      "PurchasesDeniedUnanswered",
    ]);
  });
});

describe.skipIf(promtool.kind === "missing")(`Prometheus' own tool ${whyNoPromtool}`, () => {
  const run = (...args: string[]) =>
    execute(promtool.kind === "found" ? promtool.path : "", args, { cwd: join(folder, "prometheus") });

  test("takes configuration and rules", async () => {
    const { stdout } = await run("check", "config", "prometheus.yml");
    expect(stdout).toContain(`SUCCESS: ${alerts.length + recordingsFor(shippedRules.windows).length} rules`);
  });

  test("what raises the alerts in their test are series that the product can produce [N10]", async () => {
    const producible = await listProducibleSeries();
    const given = z
      .object({ tests: z.array(z.object({ input_series: z.array(z.object({ series: z.string() })) })) })
      .parse(read("prometheus/caas.rules.test.yml"))
      .tests.flatMap(({ input_series: some }) => some.map(({ series }) => readSeries(series)));
    expect(given.length).toBeGreaterThan(30);
    expect(given.filter((series) => !producible.has(series) && !series.startsWith("up{"))).toEqual([]);
  });

  test("each alert is raised where it must be and not where it must not [ME7, ME8, ME10, HI3]", {
    timeout: 60_000,
  }, async () => {
    await run("test", "rules", "caas.rules.test.yml");
    // Every alert has a case of either sort, or this would prove less than it says.
    const cases = z
      .object({
        tests: z.array(
          z.object({
            alert_rule_test: z.array(z.object({ alertname: z.string(), exp_alerts: z.array(z.unknown()) })),
          }),
        ),
      })
      .parse(read("prometheus/caas.rules.test.yml"))
      .tests.flatMap(({ alert_rule_test: some }) => some);
    for (const { name } of alerts) {
      const own = cases.filter(({ alertname }) => alertname === name);
      expect(
        own.some(({ exp_alerts: raised }) => raised.length > 0),
        name,
      ).toBe(true);
      expect(
        own.some(({ exp_alerts: raised }) => raised.length === 0),
        name,
      ).toBe(true);
    }
  });
});
