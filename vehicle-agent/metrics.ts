import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** Metrics of one or many agents; no label holds a VIN, so a fleet in one process shares them. */
export type AgentMetrics = {
  registry: Registry;
  /** `reason` is `none` for a change that was applied. */
  changeProcessed(result: "applied" | "failed", reason: string, durationMs: number): void;
  /** A version is staged and waits for the car, for this reason. */
  changeDeferred(reason: string): void;
  renewalTried(result: "renewed" | "failed"): void;
  connected(): void;
  disconnected(): void;
  messageRefused(reason: string): void;
  reportSent(): void;
  telemetryHandled(result: "sent" | "dropped", count: number): void;
};

export function createAgentMetrics(registry: Registry = new Registry()): AgentMetrics {
  const applies = new Counter({
    name: "caas_agent_applies_total",
    help: "Configuration versions processed, by result and reason of failure",
    labelNames: ["result", "reason"],
    registers: [registry],
  });
  const durations = new Histogram({
    name: "caas_agent_apply_duration_seconds",
    help: "From the arrival of a manifest to its journalled outcome",
    labelNames: ["result"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
    registers: [registry],
  });
  const deferrals = new Counter({
    name: "caas_agent_deferrals_total",
    help: "Times a staged version began to wait for the car, by reason",
    labelNames: ["reason"],
    registers: [registry],
  });
  const renewals = new Counter({
    name: "caas_agent_certificate_renewals_total",
    help: "Attempts to renew a certificate, by result",
    labelNames: ["result"],
    registers: [registry],
  });
  const connections = new Gauge({
    name: "caas_agent_connected",
    help: "Cars of this process that are connected to the broker",
    registers: [registry],
  });
  const refused = new Counter({
    name: "caas_agent_refused_total",
    help: "Messages to the car that were refused, by reason",
    labelNames: ["reason"],
    registers: [registry],
  });
  const reports = new Counter({
    name: "caas_agent_reports_total",
    help: "Signed reports handed to the broker",
    registers: [registry],
  });
  const telemetry = new Counter({
    name: "caas_agent_telemetry_total",
    help: "Readings of the car: sent, or dropped because the buffer on disk was full",
    labelNames: ["result"],
    registers: [registry],
  });
  return {
    registry,
    changeProcessed(result, reason, durationMs) {
      applies.inc({ result, reason });
      durations.observe({ result }, durationMs / 1000);
    },
    changeDeferred: (reason) => deferrals.inc({ reason }),
    renewalTried: (result) => renewals.inc({ result }),
    connected: () => connections.inc(),
    disconnected: () => connections.dec(),
    messageRefused: (reason) => refused.inc({ reason }),
    reportSent: () => reports.inc(),
    telemetryHandled: (result, count) => telemetry.inc({ result }, count),
  };
}
