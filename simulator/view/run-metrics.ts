import { createServer, type Server } from "node:http";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ChangeListener } from "../measure/change-log.ts";
import type { Running } from "../run/run.ts";

/** A run's measures for Prometheus; no car is a label. */
export type RunMetrics = ChangeListener & {
  registry: Registry;
  /** Whose situation is read when somebody asks. */
  follow(run: Running): void;
};

export function createRunMetrics(): RunMetrics {
  const registry = new Registry();
  const registers = [registry];
  let run: Running | null = null;
  new Gauge({
    name: "caas_simulator_cars",
    help: "Cars of the run",
    registers,
    collect() {
      this.set(run?.vehicles ?? 0);
    },
  });
  new Gauge({
    name: "caas_simulator_connected",
    help: "Cars of the run that are connected",
    registers,
    collect() {
      this.set(run?.situation.connected ?? 0);
    },
  });
  new Gauge({
    name: "caas_simulator_links_lost",
    help: "Links lost since the run began, by whether the simulated weather took them",
    labelNames: ["by"],
    registers,
    collect() {
      const sum = (counts: Readonly<Record<string, number>>) =>
        Object.values(counts).reduce((total, count) => total + count, 0);
      this.set({ by: "weather" }, sum(run?.situation.weather ?? {}));
      this.set({ by: "fault" }, sum(run?.situation.drops ?? {}));
    },
  });
  const sent = new Counter({
    name: "caas_simulator_changes_sent_total",
    help: "Changes that cars were meant to get, by kind",
    labelNames: ["kind"],
    registers,
  });
  const ended = new Counter({
    name: "caas_simulator_changes_ended_total",
    help: "Changes that came to their final end, by kind and result",
    labelNames: ["kind", "result"],
    registers,
  });
  const attempts = new Counter({
    name: "caas_simulator_attempts_total",
    help: "Attempts that ended, by result: applied, or the car's reason",
    labelNames: ["result"],
    registers,
  });
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
    sent: ({ kind }) => sent.inc({ kind }),
    ended({ kind, end }, latencyMs) {
      if (end === null) return;
      ended.inc({ kind, result: end.result });
      if (end.result === "applied") latency.observe({ kind }, latencyMs / 1000);
    },
    attempted: (result) => attempts.inc({ result }),
  };
}

/** Serves `/metrics` on loopback. @param port 0 takes a free one @throws when the port is taken */
export function serveMetrics(
  { registry }: RunMetrics,
  port: number,
): Promise<{ url: string; close: () => void }> {
  const server: Server = createServer((request, response) => {
    if (request.url?.split("?")[0] !== "/metrics") return void response.writeHead(404).end();
    registry.metrics().then(
      (text) => response.writeHead(200, { "content-type": registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      const bound = address === null || typeof address === "string" ? port : address.port;
      resolve({
        url: `http://127.0.0.1:${bound}/metrics`,
        close() {
          server.close();
          server.closeAllConnections();
        },
      });
    });
  });
}
