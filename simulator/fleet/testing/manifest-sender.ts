import { EventEmitter, once } from "node:events";
import { type VerifyingKey, verifyingKeyFrom } from "@caas/contract/jws.ts";
import type { ManifestEntry } from "@caas/contract/manifest.ts";
import { type Report, verifyReport } from "@caas/contract/report.ts";
import { fleetFilter, parseTopic, topicOf } from "@caas/contract/topics.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { MqttClient } from "mqtt";
import type { TestSigner } from "../../../vehicle-agent/testing/test-signer.ts";
import type { TestCredentials } from "./make-credentials.ts";

/** The least that can be called a control plane: it sends a manifest, and again until a report answers it. */
export type ManifestSender = {
  /** Newest believed report of a car. */
  readonly reports: ReadonlyMap<Vin, Report>;
  /** Reports whose signature or shape was wrong. */
  readonly unbelieved: number;
  order(vin: Vin, version: number, entries: readonly ManifestEntry[]): void;
  /** Resolves when all orders but `open` of them are answered. */
  converge(open?: number): Promise<void>;
  stop(): Promise<void>;
};

/** How long a manifest may be unanswered until it is sent again: a few round trips. */
const sendAgainMs = 100;

export async function startManifestSender(
  client: MqttClient,
  signer: TestSigner,
  cars: readonly TestCredentials[],
): Promise<ManifestSender> {
  const keys = new Map<Vin, VerifyingKey>(
    cars.map(({ credentials, proofPublicKey }) => [credentials.vin, verifyingKeyFrom(proofPublicKey)]),
  );
  const orders = new Map<Vin, { version: number; entries: readonly ManifestEntry[] }>();
  const reports = new Map<Vin, Report>();
  const arrivals = new EventEmitter<{ judged: [] }>();
  let unbelieved = 0;

  const isOpen = (vin: Vin): boolean => orders.get(vin)?.version !== reports.get(vin)?.outcome?.version;

  function send(vin: Vin): void {
    const order = orders.get(vin);
    const key = keys.get(vin);
    if (order === undefined || key === undefined) throw new Error(`nothing is known of ${vin}`);
    const token = signer.manifest({ vin, proofKey: key }, order.version, order.entries);
    client.publish(topicOf(vin, "manifest"), token, { qos: 1 });
  }

  client.on("message", (topic, payload) => {
    const vin = parseTopic(topic)?.vin;
    const key = vin === undefined ? undefined : keys.get(vin);
    if (vin === undefined || key === undefined) return;
    const result = verifyReport(payload.toString(), { vin, key });
    if (result.kind === "refused") unbelieved += 1;
    else if (result.report.seq > (reports.get(vin)?.seq ?? 0)) reports.set(vin, result.report);
    arrivals.emit("judged");
  });
  await client.subscribeAsync(fleetFilter("report"), { qos: 1 });

  return {
    reports,
    get unbelieved() {
      return unbelieved;
    },
    order(vin, version, entries) {
      orders.set(vin, { version, entries });
      send(vin);
    },
    async converge(open = 0) {
      const openOnes = () => [...orders.keys()].filter(isOpen);
      const again = setInterval(() => openOnes().forEach(send), sendAgainMs);
      try {
        while (openOnes().length > open) await once(arrivals, "judged");
      } finally {
        clearInterval(again);
      }
    },
    async stop() {
      await client.endAsync(true);
    },
  };
}
