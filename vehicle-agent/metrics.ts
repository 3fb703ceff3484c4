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
  /** `wordAgeMs`: the age of the newest word that the platform has signed; `null` before the first. */
  reportSent(wordAgeMs: number | null): void;
  telemetryHandled(result: "sent" | "dropped", count: number): void;
};

export function createAgentMetrics(registry: Registry = new Registry()): AgentMetrics {
  const registers = [registry];
  const counter = <Label extends string = never>(name: string, labelNames: Label[], help: string) =>
    new Counter({ name, help, labelNames, registers });
  const gauge = <Label extends string = never>(name: string, labelNames: Label[], help: string) =>
    new Gauge({ name, help, labelNames, registers });
  // biome-ignore format: one row a line
  const table = {
    applies:     counter("caas_agent_applies_total",              ["result", "reason"], "Configuration versions processed, by result and reason of failure"),
    deferrals:   counter("caas_agent_deferrals_total",            ["reason"],           "Times a staged version began to wait for the car, by reason"),
    renewals:    counter("caas_agent_certificate_renewals_total", ["result"],           "Attempts to renew a certificate, by result"),
    connections: gauge("caas_agent_connected",                    [],                   "Cars of this process that are connected to the broker"),
    refused:     counter("caas_agent_refused_total",              ["reason"],           "Messages to the car that were refused, by reason"),
    reports:     counter("caas_agent_reports_total",              [],                   "Signed reports handed to the broker"),
    telemetry:   counter("caas_agent_telemetry_total",            ["result"],           "Readings of the car: sent, or dropped because the buffer on disk was full"),
  };
  const durations = new Histogram({
    name: "caas_agent_apply_duration_seconds",
    help: "From the arrival of a manifest to its journalled outcome",
    labelNames: ["result"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
    registers,
  });
  const wordAges = new Histogram({
    name: "caas_agent_signed_word_age_seconds",
    help: "Age of the newest word signed by the platform, at every report",
    // An hour, six hours, a day, three days, a week, a month, a year.
    buckets: [3_600, 21_600, 86_400, 259_200, 604_800, 2_592_000, 31_536_000],
    registers,
  });
  return {
    registry,
    changeProcessed(result, reason, durationMs) {
      table.applies.inc({ result, reason });
      durations.observe({ result }, durationMs / 1000);
    },
    changeDeferred: (reason) => table.deferrals.inc({ reason }),
    renewalTried: (result) => table.renewals.inc({ result }),
    connected: () => table.connections.inc(),
    disconnected: () => table.connections.dec(),
    messageRefused: (reason) => table.refused.inc({ reason }),
    reportSent(wordAgeMs) {
      table.reports.inc();
      if (wordAgeMs !== null) wordAges.observe(wordAgeMs / 1000);
    },
    telemetryHandled: (result, count) => table.telemetry.inc({ result }, count),
  };
}
