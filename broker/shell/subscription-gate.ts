import type { Logger } from "pino";
import { isAllowedSubscription } from "../access/access.ts";
import { ConnectionFault } from "../limits/connection-fault.ts";
import type { Metrics } from "../metrics.ts";
import type { Session } from "./sessions.ts";

export type SubscriptionLimits = {
  /** Topics one car may have subscribed to at once. */
  maxSubscriptions: number;
  /** QoS 1 messages a car has not acknowledged. */
  maxInflight: number;
};

type Parts = { limits: SubscriptionLimits; metrics: Metrics; log: Logger };
type Subscription = { topic: string; qos: 0 | 1 | 2 };

/** Whether the subscription is granted. */
export function takeSubscription(
  { limits, metrics, log }: Parts,
  session: Session,
  { topic, qos }: Subscription,
): boolean {
  const { known, granted } = session;
  const refusal = judge(session, topic, limits);
  if (refusal !== undefined) {
    metrics.subscriptionRefused(known?.identity.kind ?? "anyone", refusal);
    log.warn({ clientId: known?.client.id, filter: topic, reason: refusal }, "subscription refused");
    return false;
  }
  if (known?.identity.kind === "car") granted.set(topic, qos);
  return true;
}

function judge({ known, granted }: Session, topic: string, { maxSubscriptions }: SubscriptionLimits) {
  if (known === undefined || !isAllowedSubscription(known.identity, topic)) return "not-allowed";
  return granted.has(topic) || granted.size < maxSubscriptions ? undefined : "too-many";
}

/** Whether one more message with QoS 1 may wait for this client's acknowledgement; a car beyond the limit is cut. */
export function mayHave(session: Session, { maxInflight }: SubscriptionLimits): boolean {
  if (session.known?.identity.kind !== "car") return true;
  session.inflight += 1;
  if (session.inflight <= maxInflight) return true;
  session.known.client.conn.destroy(new ConnectionFault("inflight"));
  return false;
}

/** The same for a message that comes by aedes. */
export function mayForward(session: Session, message: Subscription, limits: SubscriptionLimits): boolean {
  return message.qos === 0 || session.granted.get(message.topic) === 0 || mayHave(session, limits);
}
