import { isVin, type Vin } from "./vin.ts";

// All topics of the fleet link. `caas/v1/{vin}/{kind}`; the client id of a car is its VIN.

const prefix = "caas/v1/";
const vinEnd = prefix.length + 17;

/** From the control plane to a car. */
export const topicKindsToCar = ["manifest", "keys", "display"] as const;
/** From a car. */
export const topicKindsFromCar = ["report", "presence", "telemetry", "display-ack"] as const;

export type TopicKindToCar = (typeof topicKindsToCar)[number];
export type TopicKindFromCar = (typeof topicKindsFromCar)[number];
export type TopicKind = TopicKindToCar | TopicKindFromCar;

/**
 * Quality of service of a kind. The platform itself provides what an acknowledgement would: a manifest is sent again
 * until it is answered, a report is repeated on every connection. Keys precede their manifest and so have the same
 * quality: MQTT guarantees no order between different ones.
 */
export const qosOf: Readonly<Record<TopicKind, 0 | 1>> = {
  manifest: 0,
  keys: 0,
  display: 1,
  report: 0,
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

/** The control plane's subscription to one kind from the whole fleet. */
export function fleetFilter(kind: TopicKindFromCar): string {
  return `${prefix}+/${kind}`;
}

/** The car and kind of a topic, or `null` if it is none of ours (wildcards included). */
export function parseTopic(topic: string): { vin: Vin; kind: TopicKind } | null {
  if (!topic.startsWith(prefix) || topic[vinEnd] !== "/") return null;
  const kind = topic.slice(vinEnd + 1);
  const vin = topic.slice(prefix.length, vinEnd);
  return isTopicKind(kind) && isVin(vin) ? { vin, kind } : null;
}

/** The kind of a topic that belongs to `vin`; `null` if it is another car's or none of ours. */
export function kindOfOwnTopic(topic: string, vin: Vin): TopicKind | null {
  if (!topic.startsWith(prefix) || !topic.startsWith(vin, prefix.length) || topic[vinEnd] !== "/")
    return null;
  const kind = topic.slice(vinEnd + 1);
  return isTopicKind(kind) ? kind : null;
}
