import { revocationTopic } from "@caas/contract/revocation-list.ts";
import {
  fleetFilter,
  kindOfOwnTopic,
  parseTopic,
  type TopicKind,
  topicKindsFromCar,
  topicKindsToCar,
  topicOf,
} from "@caas/contract/topics.ts";
import type { Vin } from "@caas/contract/vin.ts";

// What each identity may publish and subscribe to: default deny, so everything that no line here allows is refused.

/** `anyone` exists only under the open policy, which serves conformance tests on loopback. */
export type Identity = { kind: "car"; vin: Vin } | { kind: "controlPlane" } | { kind: "anyone" };

export type Message = { topic: string; qos: 0 | 1 | 2; retain: boolean };

export type PublishRefusal = "foreign-topic" | "not-retainable" | "qos-too-high";

/** `revocations` goes to the broker itself; `other` exists under the open policy only. */
export type PublishedKind = TopicKind | "revocations" | "other";

export type PublishVerdict =
  | { status: "allowed"; kind: PublishedKind }
  | { status: "refused"; reason: PublishRefusal };

const toCar: ReadonlySet<TopicKind> = new Set(topicKindsToCar);
const fromCar: ReadonlySet<TopicKind> = new Set(topicKindsFromCar);
const fleetFilters: ReadonlySet<string> = new Set(topicKindsFromCar.map(fleetFilter));

/** Whether `identity` may publish `message`; `kind` is the topic's kind, for counting. */
export function judgePublish(identity: Identity, message: Message): PublishVerdict {
  if (identity.kind === "anyone")
    return message.topic.startsWith("$")
      ? { status: "refused", reason: "foreign-topic" }
      : { status: "allowed", kind: parseTopic(message.topic)?.kind ?? "other" };

  const kind = publishableKind(identity, message.topic);
  if (kind === undefined) return { status: "refused", reason: "foreign-topic" };
  // No kind travels above QoS 1; with QoS 2 each message would leave session state behind.
  if (message.qos > 1) return { status: "refused", reason: "qos-too-high" };
  if (message.retain && kind !== "presence") return { status: "refused", reason: "not-retainable" };
  return { status: "allowed", kind };
}

function publishableKind(
  identity: Exclude<Identity, { kind: "anyone" }>,
  topic: string,
): TopicKind | "revocations" | undefined {
  if (identity.kind === "car") {
    const kind = kindOfOwnTopic(topic, identity.vin);
    return kind !== null && fromCar.has(kind) ? kind : undefined;
  }
  if (topic === revocationTopic) return "revocations";
  const kind = parseTopic(topic)?.kind;
  return kind !== undefined && toCar.has(kind) ? kind : undefined;
}

/** Whether `message` may be the will of `identity`: of the fleet only a car has one, its own presence. */
export function isAllowedWill(identity: Identity, message: Message): boolean {
  const verdict = judgePublish(identity, message);
  if (verdict.status === "refused") return false;
  return identity.kind === "anyone" || verdict.kind === "presence";
}

/** Whether `identity` may subscribe to `filter`; a refusal is answered with 0x80 in the SUBACK. */
export function isAllowedSubscription(identity: Identity, filter: string): boolean {
  switch (identity.kind) {
    case "car":
      return topicKindsToCar.some((kind) => topicOf(identity.vin, kind) === filter);
    case "controlPlane": {
      if (fleetFilters.has(filter)) return true;
      const topic = parseTopic(filter);
      return topic !== null && !toCar.has(topic.kind);
    }
    case "anyone":
      // aedes 1.2 accepts a shared subscription and then delivers nothing: better refused than silent.
      return !filter.startsWith("$share/");
  }
}
