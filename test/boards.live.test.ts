import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { alertsFor } from "@caas/dashboards/alerts.ts";
import { buildBoard } from "@caas/dashboards/board.ts";
import { shippedWindows, type Windows } from "@caas/dashboards/expressions.ts";
import { recordingsFor, renderRuleFile, shippedRules } from "@caas/dashboards/rules-file.ts";
import { profileSchema } from "@caas/simulator/behaviour/profile.ts";
import type { RunReport } from "@caas/simulator/report/run-report.ts";
import { parseScenario } from "@caas/simulator/scenarios/read-scenario.ts";
import { simulate } from "@caas/simulator/simulate.ts";
import { createRunMetrics } from "@caas/simulator/view/run-metrics.ts";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { findOrInstall } from "../lab/debian-packages.ts";
import { startSimulatedPlatform } from "../simulate/simulated-platform.ts";
import { type RunningPrometheus, type Series, startPrometheus } from "./servers/prometheus.ts";

// Prometheus beside the whole platform, a fleet and its customers, where one car in five takes nothing new. The rules
// are the shipped ones, printed by the same code with seconds for minutes: nobody waits a day in a test.

const windows: Windows = { rate: "10s", realTime: "20s", daily: "60s", before: "20s" };
const steady = { urgent: "2s", short: "2s", long: "4s" };
const shorten = (expr: string): string =>
  Object.entries(shippedWindows).reduce(
    (text, [name, window]) => text.replaceAll(`[${window}]`, `[${Reflect.get(windows, name)}]`),
    expr,
  );

const profile = profileSchema.parse({
  describes: "one car in five is of a revision that nothing new is made for, one in twenty is hostile",
  mix: [
    { kind: "steady", share: 0.75 },
    {
      kind: {
        describes: "refuses whatever is new",
        applyMs: { median: 0, sigma: 0 },
        failures: [{ stage: "check", chance: 1, detail: "this hardware revision is not supported" }],
      },
      share: 0.2,
    },
    { kind: "malicious", share: 0.05 },
  ],
});

const scenario = parseScenario(
  JSON.stringify({
    describes: "customers buy, and one car in five refuses whatever is new",
    vehicles: 60,
    ramp: "1s",
    duration: "22s",
    settle: "20s",
    steps: [{ name: "customers", purchases: { perSecond: 10, for: "20s", thinkTime: "20ms" } }],
  }),
  "the scenario of this test",
);

/** Every question of the board, the alerts and the recordings. */
const asked = [
  ...boardExpressions(),
  ...alertsFor(shippedRules.windows, shippedRules.steady)
    // One broker by itself has no Redis.
    .filter(({ needs }) => needs === undefined)
    .map(({ name, measures }) => ({
      what: `what the alert ${name} judges`,
      expr: measures,
    })),
  ...recordingsFor(shippedWindows).map(({ record, expr }) => ({ what: record, expr })),
].map(({ what, expr }) => ({ what, expr: shorten(expr) }));

/** With the window it is shipped with, which holds the whole run: what fails is over later than what succeeds. */
const overall = recordingsFor(shippedWindows)[0]?.expr ?? "";

function boardExpressions(): { what: string; expr: string }[] {
  const panels = z
    .array(z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })).optional() }))
    .parse(JSON.parse(JSON.stringify(buildBoard().panels)));
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ what: `panel ${title}`, expr })),
  );
}

const found = await findOrInstall("prometheus", "prometheus");
const why = found.kind === "missing" ? `: ${found.explanation}` : "";

describe.skipIf(found.kind === "missing")(`a real Prometheus beside the platform${why}`, () => {
  let folder: string;
  let prometheus: RunningPrometheus | undefined;
  let report: RunReport;
  const raised = new Set<string>();
  const answers = new Map<string, Series[]>();

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "caas-boards-"));
    chmodSync(folder, 0o711);
    const startedMs = Date.now();
    report = await simulate({
      scenario: { name: "board", content: scenario },
      profile: { name: "of this test", content: profile },
      seed: 7,
      processes: 1,
      tls: false,
      brokers: 1,
      folder,
      command: "",
      signal: new AbortController().signal,
      say: () => undefined,
      listener: { ...createRunMetrics(), said: () => undefined, phase: () => undefined },
      async provideWorld(wanted) {
        const world = await startSimulatedPlatform(wanted);
        const running = await startPrometheus({
          program: found.kind === "found" ? found.path : "",
          rules: renderRuleFile({ windows, steady }),
          scrape: world.scrape,
        });
        prometheus = running;
        return {
          ...world,
          // What is asked about the platform is asked while it is there.
          async stop() {
            await untilRaised(running, "FirstAttemptSuccessLow");
            const seconds = (Date.now() - startedMs) / 1000;
            for (const expr of [...asked.map((one) => one.expr), overall])
              answers.set(expr, await running.query(expr, seconds));
            await world.stop();
          },
        };
      },
    });
  }, 150_000);

  afterAll(async () => {
    await prometheus?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function untilRaised(running: RunningPrometheus, name: string): Promise<void> {
    await vi.waitFor(
      async () => {
        for (const { name: alert, state } of await running.alerts())
          if (state === "firing") raised.add(alert);
        expect([...raised]).toContain(name);
      },
      { timeout: 30_000, interval: 250 },
    );
  }

  test("when a fifth of the activations fail, the alert is raised; what is well is not complained of [ME7]", () => {
    const wave = report.waves.find(({ wave: name }) => name === "customers");
    const failedShare = (wave?.failed ?? 0) / Math.max(1, wave?.sent ?? 0);
    expect(failedShare).toBeGreaterThan(0.1);
    expect(failedShare).toBeLessThan(0.4);
    expect([...raised]).toContain("FirstAttemptSuccessLow");
    for (const quiet of ["ControlPlaneDown", "BrokerDown", "MoneyAndServiceDiffer", "RevocationsNotEnforced"])
      expect([...raised]).not.toContain(quiet);
  });

  test.each(asked)("$what returns data", ({ expr }) => {
    const series = answers.get(expr) ?? [];
    expect(series.length).toBeGreaterThan(0);
    expect(series.some(({ values }) => values.some(Number.isFinite))).toBe(true);
  });

  test("what it says of the first attempts is what the cars themselves have counted [ME7]", () => {
    const shares = (answers.get(overall) ?? []).flatMap(({ values }) => values).filter(Number.isFinite);
    const atTheEnd = shares.at(-1) ?? Number.NaN;
    expect(Math.abs(atTheEnd - (report.numbers.firstAttemptSuccess ?? 0))).toBeLessThan(0.2);
  });
});
