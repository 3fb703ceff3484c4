import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { startProgram } from "../../lab/child-program.ts";
import { findFreePort } from "../../start/ports.ts";

// A real Prometheus in a process of its own, from Debian's package.

export type RunningPrometheus = {
  /** The series of an instant query, or of one over the last `rangeSeconds`, a point a second. */
  query(expr: string, rangeSeconds?: number): Promise<Series[]>;
  alerts(): Promise<{ name: string; state: string }[]>;
  stop(): Promise<void>;
};

export type Series = { labels: Record<string, string>; values: number[] };

export type PrometheusOptions = {
  program: string;
  /** Text of the rule file. */
  rules: string;
  scrape: readonly { job: string; address: string }[];
};

const point = z.tuple([z.number(), z.string()]);
const answerSchema = z.object({
  data: z.object({
    result: z.array(
      z.object({
        metric: z.record(z.string(), z.string()),
        value: point.optional(),
        values: z.array(point).optional(),
      }),
    ),
  }),
});
const alertsSchema = z.object({
  data: z.object({
    alerts: z.array(z.object({ labels: z.object({ alertname: z.string() }), state: z.string() })),
  }),
});

/** Scrapes and judges every second. @throws Error with its words when it does not come up */
export async function startPrometheus(options: PrometheusOptions): Promise<RunningPrometheus> {
  const folder = mkdtempSync(join(tmpdir(), "caas-prometheus-"));
  const port = await findFreePort();
  writeFileSync(join(folder, "rules.yml"), options.rules);
  writeFileSync(join(folder, "prometheus.yml"), configuration(options.scrape));
  const running = await startProgram({
    name: "Prometheus",
    command: options.program,
    args: [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    speaksOn: "stderr",
    isReady: (said) => said.includes("Server is ready to receive web requests"),
  });
  async function ask(path: string): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`);
    if (!response.ok) throw new Error(`Prometheus refused ${path}: ${await response.text()}`);
    return response.json();
  }
  return {
    async query(expr, rangeSeconds) {
      const end = Date.now() / 1000;
      const query = `query=${encodeURIComponent(expr)}`;
      const path =
        rangeSeconds === undefined
          ? `query?${query}`
          : `query_range?${query}&start=${end - rangeSeconds}&end=${end}&step=1`;
      return answerSchema.parse(await ask(path)).data.result.map(({ metric, value, values }) => ({
        labels: metric,
        values: (values ?? (value === undefined ? [] : [value])).map(([, text]) => Number(text)),
      }));
    },
    async alerts() {
      const { data } = alertsSchema.parse(await ask("alerts"));
      return data.alerts.map(({ labels, state }) => ({ name: labels.alertname, state }));
    },
    async stop() {
      await running.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configuration(scrape: PrometheusOptions["scrape"]): string {
  return JSON.stringify({
    global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
    rule_files: ["rules.yml"],
    scrape_configs: scrape.map(({ job, address }) => ({
      job_name: job,
      static_configs: [{ targets: [address] }],
    })),
  });
}
