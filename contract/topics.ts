import { explainVin, parseVin, type Vin } from "./vin.ts";

// Every topic of the fleet link, once. `caas/v1/{vin}/{kind}`; the client id of a car is its VIN.

const prefix = "caas/v1/";

/** What the control plane sends to a car. */
export const topicKindsToCar = ["manifest", "keys", "display"] as const;
/** What a car sends. */
export const topicKindsFromCar = ["report", "presence", "telemetry", "display-ack"] as const;

export type TopicKindToCar = (typeof topicKindsToCar)[number];
export type TopicKindFromCar = (typeof topicKindsFromCar)[number];
export type TopicKind = TopicKindToCar | TopicKindFromCar;

/** Quality of service a kind travels with: telemetry may be lost, the rest is asked for again. */
export const qosOf: Readonly<Record<TopicKind, 0 | 1>> = {
  manifest: 1,
  keys: 1,
  display: 1,
  report: 1,
  presence: 1,
  telemetry: 0,
  "display-ack": 1,
};

const kinds: ReadonlySet<string> = new Set([...topicKindsToCar, ...topicKindsFromCar]);

function isTopicKind(text: string): text is TopicKind {
  return kinds.has(text);
}

export function topicOf(vin: Vin, kind: TopicKind): string {
  return `${prefix}${vin}/${kind}`;
}

/** The subscription with which the control plane hears one kind from the whole fleet. */
export function fleetFilter(kind: TopicKindFromCar): string {
  return `${prefix}+/${kind}`;
}

/** The car and kind a topic names, or `null` where it is none of ours (wildcards included). */
export function parseTopic(topic: string): { vin: Vin; kind: TopicKind } | null {
  if (!topic.startsWith(prefix)) return null;
  const [vin, kind, ...rest] = topic.slice(prefix.length).split("/");
  if (vin === undefined || kind === undefined || rest.length > 0) return null;
  if (!isTopicKind(kind) || explainVin(vin) !== null) return null;
  return { vin: parseVin(vin), kind };
}
