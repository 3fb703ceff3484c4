import { answerJson, answerMetrics, type LoopbackServer, serveOnLoopback } from "@caas/vehicle-agent/http.ts";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ChangeListener } from "../measure/change-log.ts";
import type { Running } from "../run/run.ts";

/** A run's measures for Prometheus; no car is a label. */
export type RunMetrics = ChangeListener & {
  registry: Registry;
  /** The run whose situation is read when metrics are collected. */
  follow(run: Running): void;
};

export function createRunMetrics(): RunMetrics {
  const registry = new Registry();
  const registers = [registry];
  let run: Running | null = null;
  const sum = (counts: Readonly<Record<string, number>> = {}) =>
    Object.values(counts).reduce((total, count) => total + count, 0);
  const counter = <Label extends string>(name: string, labelNames: Label[], help: string) =>
    new Counter({ name, help, labelNames, registers });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge("caas_simulator_cars", "Cars of the run", () => run?.vehicles ?? 0);
  gauge(
    "caas_simulator_connected",
    "Cars of the run that are connected",
    () => run?.situation.connected ?? 0,
  );
  new Gauge({
    name: "caas_simulator_links_lost",
    help: "Links lost since the run began, by whether the simulated weather took them",
    labelNames: ["by"],
    registers,
    collect() {
      this.set({ by: "weather" }, sum(run?.situation.weather));
      this.set({ by: "fault" }, sum(run?.situation.drops));
    },
  });
  // biome-ignore format: one row a line
  const table = {
    sent:     counter("caas_simulator_changes_sent_total",  ["kind"],           "Changes that cars were meant to get, by kind"),
    ended:    counter("caas_simulator_changes_ended_total", ["kind", "result"], "Changes that came to their final end, by kind and result"),
    attempts: counter("caas_simulator_attempts_total",      ["result"],         "Attempts that ended, by result: applied, or the car's reason"),
  };
  const latency = new Histogram({
    name: "caas_simulator_change_duration_seconds",
    help: "From when a change was meant to begin to its proof",
    labelNames: ["kind"],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    registers,
  });
  return {
    registry,
    follow(present) {
      run = present;
    },
    sent: ({ kind }) => table.sent.inc({ kind }),
    ended({ kind, end }, latencyMs) {
      if (end === null) return;
      table.ended.inc({ kind, result: end.result });
      if (end.result === "applied") latency.observe({ kind }, latencyMs / 1000);
    },
    attempted: (result) => table.attempts.inc({ result }),
  };
}

/** Serves `/metrics` on loopback. @param port 0 takes a free one @throws when the port is taken */
export async function serveMetrics({ registry }: RunMetrics, port: number): Promise<LoopbackServer> {
  const server = await serveOnLoopback(port, async (path) =>
    path === "/metrics" ? answerMetrics(registry) : answerJson(404, { detail: "there is /metrics" }),
  );
  return { ...server, url: `${server.url}/metrics` };
}
