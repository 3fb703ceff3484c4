import { createMetrics as createBrokerMetrics } from "@caas/broker/metrics.ts";
import { createMetrics } from "@caas/control-plane/metrics/metrics.ts";
import { createRunMetrics } from "@caas/simulator/view/run-metrics.ts";
import { createAgentMetrics } from "@caas/vehicle-agent/metrics.ts";

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
const noTrust = {
  keySetVersion: 1,
  keySetAgeSeconds: 0,
  revocationListVersion: 0,
  revocationListAgeSeconds: 0,
};

/** What each part serves at /metrics, as its chapter in dashboards/README.md is called. */
export const servingParts: readonly { part: string; render: () => Promise<string> }[] = [
  {
    part: "Control plane",
    render: async () =>
      (
        await createMetrics(
          async () => noDepths,
          async () => [],
          async () => noTrust,
        ).render()
      ).text,
  },
  { part: "Broker", render: () => createBrokerMetrics(0, () => 0).registry.metrics() },
  { part: "Vehicle agent", render: () => createAgentMetrics().registry.metrics() },
  { part: "Simulator", render: () => createRunMetrics().registry.metrics() },
];

/** Names of our own metrics in Prometheus' text form; the process's default metrics are others' to describe. */
export function namesIn(text: string): string[] {
  return [...text.matchAll(/^# HELP (caas_\w+) /gm)].map(([, name = ""]) => name).toSorted();
}

/** The names of all metrics that any part serves. */
export async function servedMetrics(): Promise<ReadonlySet<string>> {
  const texts = await Promise.all(servingParts.map(({ render }) => render()));
  return new Set(texts.flatMap(namesIn));
}
