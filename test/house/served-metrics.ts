import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createMetrics as createBrokerMetrics } from "@caas/broker/metrics.ts";
import type { ReportRefusal } from "@caas/contract/report.ts";
import { createMetrics } from "@caas/control-plane/metrics/metrics.ts";
import { createRunMetrics } from "@caas/simulator/view/run-metrics.ts";
import { createAgentMetrics } from "@caas/vehicle-agent/metrics.ts";
import { listFiles, root } from "./source-files.ts";

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

/** A series as text, its labels in order, without those that Prometheus itself adds. */
export function readSeries(text: string): string {
  const [, name = "", labels = ""] = /^(\w+)(?:\{(.*)\})?$/.exec(text) ?? [];
  const own = labels.split(",").filter((label) => label !== "" && !/^(instance|job)=/.test(label));
  return `${name}{${own.toSorted().join(",")}}`;
}

const jobKinds = listFiles(".ts", "control-plane").flatMap((path) =>
  [...readFileSync(join(root, path), "utf8").matchAll(/jobType\(\s*"(\w+)"/g)].map(([, kind = ""]) => kind),
);
const reportRefusals: readonly ReportRefusal[] = ["badSignature", "invalid", "malformed", "otherVehicle"];

/** Every series of a control plane that has jobs of each kind and has refused for each reason, and of a broker. */
export async function listProducibleSeries(): Promise<ReadonlySet<string>> {
  const jobs = jobKinds.map((task) => ({ task, waiting: 0, exhausted: 0 }));
  const controlPlane = createMetrics(
    async () => ({ ...noDepths, jobs }),
    async () => [],
    async () => noTrust,
  );
  for (const reason of reportRefusals) controlPlane.messageRefused(`report.${reason}`);
  const broker = createBrokerMetrics(0, () => 0);
  broker.clusterUp(true);
  const texts = [(await controlPlane.render()).text, await broker.registry.metrics()];
  return new Set(
    texts
      .flatMap((text) => text.split("\n"))
      .filter((line) => line.startsWith("caas_"))
      .map((line) => readSeries(line.slice(0, line.lastIndexOf(" ")))),
  );
}
